/* token_wish.h - readers of a token's members: of the file and of documents. */
#ifndef PREFD_SERVICE_TOKEN_WISH_H
#define PREFD_SERVICE_TOKEN_WISH_H

#include "fields.h"
#include "service/tokens.h"

field_fn read_scopes;         /* unsigned: ["read", …] */
field_fn read_token_datasets; /* struct token_datasets: [id, …] or null */
field_fn read_rate;           /* int64_t: 1 … TOKEN_RATE_MAX */

#endif
