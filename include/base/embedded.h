/* embedded.h - files that travel inside the binary.
 *
 * schema/embed.mk lists them; a file of symbol s is EMBEDDED(s), a str whose
 * bytes live as long as the process and have a NUL behind them. */
#ifndef PREFD_BASE_EMBEDDED_H
#define PREFD_BASE_EMBEDDED_H

#include "base/str.h"

#define EMBEDDED_DECLARE(s) extern const char embedded_##s[], embedded_##s##_end[]
#define EMBEDDED(s) ((struct str){embedded_##s, (size_t)(embedded_##s##_end - embedded_##s)})

EMBEDDED_DECLARE(schema_001); /* schema/sqlite/001.sql */
EMBEDDED_DECLARE(schema_002); /* schema/sqlite/002.sql */
EMBEDDED_DECLARE(dashboard);  /* server/http/dashboard.html */
EMBEDDED_DECLARE(openapi);    /* schema/openapi.yaml, as JSON */

#endif
