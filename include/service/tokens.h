/* tokens.h - who may come in, and to what.
 *
 * Tokens live in the data folder's tokens.json, replaced whole under a lock, so
 * that the command line can change it beside a running daemon; the daemon looks
 * at each request whether it is another file by now. Only hashes are kept.
 *
 *     no file  -> OPEN: nothing was ever created; loopback only, no token asked
 *     a file   -> CLOSED: for ever, also when its last token was revoked
 *     damaged  -> nobody comes in (P_UNAVAILABLE) until it is mended
 *
 * A token is `prefd_<id>_<secret>`: 12 and 64 hex digits, 256 bits of the
 * system's randomness, so a plain SHA-256 keeps it. */
#ifndef PREFD_SERVICE_TOKENS_H
#define PREFD_SERVICE_TOKENS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

enum {
	TOKENS_MAX = 1024,
	TOKEN_DATASETS_MAX = 256,      /* that one token is limited to */
	TOKEN_ID_CHARS = 12,
	TOKEN_SECRET_CHARS = 64,
	TOKEN_TEXT_BYTES = 6 + TOKEN_ID_CHARS + 1 + TOKEN_SECRET_CHARS + 1, /* with a NUL */
	TOKEN_RATE_MAX = 1000000000,   /* requests or bytes a second */
};

/* What a route asks for, and bits of what a token has. ADMIN holds all others. */
enum scope { SCOPE_OPEN, SCOPE_READ, SCOPE_INGEST, SCOPE_TRAIN, SCOPE_ADMIN, SCOPE_COUNT };
extern const char *const scope_words[SCOPE_COUNT];

struct token_datasets {
	bool limited; /* to these; else all */
	struct str *id;
	size_t n;
};

struct token {
	struct str id, name;
	unsigned scopes; /* 1u << enum scope, or-ed */
	struct token_datasets datasets;
	int64_t created_us, expires_us; /* since 1970; expires 0: never */
	int64_t requests_per_second, bytes_per_second; /* 0: no limit */
	uint8_t hash[32];
};

/* --- the daemon's: any thread ------------------------------------------------- */

struct tokens;

/* dir: the data folder. A file that is there must be readable: else -1. */
int tokens_open(struct tokens **t, const char *dir, struct err *e);
void tokens_close(struct tokens *t);
/* Whether a file of tokens is there. */
bool tokens_closed(struct tokens *t);

/* Who asks. While open, token is NULL and everything is allowed. It stays
 * what it was for the request that it began; access_end gives it back. */
struct token_set;
struct access {
	struct token_set *set;
	const struct token *token; /* NULL: the daemon is open */
};

/* text: the token as sent, STR_NONE: none was. P_UNAUTHORIZED: none, unknown,
 * expired; P_UNAVAILABLE: the file cannot be read. Takes the same time for
 * every unknown token. */
int tokens_enter(struct tokens *t, struct str text, struct access *a, struct err *e);
void access_end(struct access *a);
/* Pure; a NULL is the daemon itself, which may everything. */
bool access_scope(const struct access *a, enum scope wanted);
bool access_dataset(const struct access *a, struct str dataset);
/* False only for a token that is limited to some datasets. */
bool access_everywhere(const struct access *a);

/* --- changing the file: any thread, any process -------------------------------- */

struct token_wish {
	struct str name;
	unsigned scopes;
	struct token_datasets datasets;
	int64_t expires_us;
	int64_t requests_per_second, bytes_per_second;
};

/* "30d", "12h", "15m", "90s" from now on, or RFC 3339; in the future. P_INVALID. */
int token_expiry(struct str text, int64_t now_us, int64_t *expires_us, struct err *e);
/* "read,ingest"; P_INVALID for a word that is no scope. */
int token_scopes(struct str list, unsigned *scopes, struct err *e);
/* P_INVALID unless the name and the datasets' ids are such. */
int token_check_names(const struct token_wish *w, struct err *e);
/* The document of POST /v1/tokens. Pieces live in the arena. */
int token_read_wish(struct arena *a, struct str body, int64_t now_us, struct token_wish *w, struct err *e);

/* Makes the folder and the file if there is none. P_CONFLICT: a token of this name is there;
 * P_TOO_LARGE at TOKENS_MAX. secret is the token's only copy. */
int tokens_create(const char *dir, const struct token_wish *w, struct arena *a, struct token *made,
                  char secret[TOKEN_TEXT_BYTES], struct err *e);
/* By id, or by name. P_UNKNOWN_TOKEN. */
int tokens_revoke(const char *dir, struct str id_or_name, struct arena *a, struct token *was, struct err *e);
/* All, in order of creation. */
int tokens_list(const char *dir, struct arena *a, struct token **token, size_t *n, struct err *e);
/* {"id", "name", …} without the hash. */
void token_print(struct buf *b, const struct token *t);

#endif
