/* words.h - readers of a recipe's words, numbers and lists, for tables of
 * fields (see fields.h), and what `to` points at. */
#ifndef PREFD_SERVICE_WORDS_H
#define PREFD_SERVICE_WORDS_H

#include "fields.h"

field_fn read_augment;       /* enum augment */
field_fn read_goal;          /* enum goal_kind */
field_fn read_placement;     /* enum placement */
field_fn read_format;        /* enum view_format: trl or trl_text */
field_fn read_across;        /* enum across */
field_fn read_strategy;      /* enum strategy */
field_fn read_part;          /* bool: eval */
field_fn read_fraction;      /* double, 0 … 1 */
field_fn read_min_margin;    /* double, not negative */
field_fn read_min_responses; /* uint32_t, at least 1 */
field_fn read_rescale;       /* enum rescale, from a bool */
field_fn read_names;         /* struct names, in the order given */
field_fn read_set;           /* struct names: sorted, each once */

#endif
