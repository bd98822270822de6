/* token_make.c - tokens.json changed: under its lock, read, changed, replaced. */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/hash.h"
#include "token_file.h"

/* The file under its lock. */
struct edit {
	char path[TOKEN_PATH_BYTES];
	int lock;
	struct token *token;
	size_t n;
};

static int edit_begin(struct edit *x, const char *dir, struct arena *a, struct err *e)
{
	char lock[TOKEN_PATH_BYTES];
	struct file_mark mark;

	if (token_path(x->path, dir, "tokens.json", e) < 0 || token_path(lock, dir, "tokens.lock", e) < 0 ||
	    file_lock(lock, &x->lock, e) < 0)
		return -1;
	if (token_file_read(x->path, a, &x->token, &x->n, &mark, e) == 0)
		return 0;
	file_unlock(x->lock);
	return -1;
}

static int edit_end(struct edit *x, int rc, struct err *e)
{
	if (rc == 0)
		rc = token_file_write(x->path, x->token, x->n, e);
	file_unlock(x->lock);
	return rc;
}

/* --- create -------------------------------------------------------------------------------- */

static void make_secret(struct token *t, struct arena *a, char secret[TOKEN_TEXT_BYTES])
{
	char id[TOKEN_ID_CHARS + 1], random[TOKEN_SECRET_CHARS + 1];

	random_hex(id, TOKEN_ID_CHARS / 2);
	random_hex(random, TOKEN_SECRET_CHARS / 2);
	snprintf(secret, TOKEN_TEXT_BYTES, "prefd_%s_%s", id, random);
	t->id = arena_str(a, str_of(id));
	sha256_of(secret, TOKEN_TEXT_BYTES - 1, t->hash);
}

static int add(struct edit *x, struct arena *a, const struct token_wish *w, struct token *made,
               char secret[TOKEN_TEXT_BYTES], struct err *e)
{
	struct token *grown = ARENA_ARRAY(a, struct token, x->n + 1);

	for (size_t i = 0; i < x->n; i++)
		if (str_eq(x->token[i].name, w->name))
			return err_at(e, P_CONFLICT, "/name", "there is a token of this name");
	if (x->n >= TOKENS_MAX)
		return err_set(e, P_TOO_LARGE, "there are %d tokens, which is the limit; revoke some", TOKENS_MAX);
	*made = (struct token){
		.name = w->name,
		.scopes = w->scopes,
		.datasets = w->datasets,
		.created_us = clock_now_us(),
		.expires_us = w->expires_us,
		.requests_per_second = w->requests_per_second,
		.bytes_per_second = w->bytes_per_second,
	};
	make_secret(made, a, secret);
	if (x->n > 0)
		memcpy(grown, x->token, x->n * sizeof *grown);
	grown[x->n++] = *made;
	x->token = grown;
	return 0;
}

int tokens_create(const char *dir, const struct token_wish *w, struct arena *a, struct token *made,
                  char secret[TOKEN_TEXT_BYTES], struct err *e)
{
	struct edit x;

	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return err_set(e, P_INTERNAL, "cannot make the folder %s: %s", dir, strerror(errno));
	if (edit_begin(&x, dir, a, e) < 0)
		return -1;
	return edit_end(&x, add(&x, a, w, made, secret, e), e);
}

/* --- revoke --------------------------------------------------------------------------------- */

/* An id comes before a name that looks like one. */
static size_t find(const struct edit *x, struct str id_or_name)
{
	for (size_t i = 0; i < x->n; i++)
		if (str_eq(x->token[i].id, id_or_name))
			return i;
	for (size_t i = 0; i < x->n; i++)
		if (str_eq(x->token[i].name, id_or_name))
			return i;
	return x->n;
}

int tokens_revoke(const char *dir, struct str id_or_name, struct arena *a, struct token *was, struct err *e)
{
	struct edit x;
	size_t at;

	if (edit_begin(&x, dir, a, e) < 0)
		return -1;
	at = find(&x, id_or_name);
	if (at == x.n)
		return edit_end(&x, err_set(e, P_UNKNOWN_TOKEN, "there is no token %.*s", STR_ARG(id_or_name)), e);
	*was = x.token[at];
	memmove(x.token + at, x.token + at + 1, (--x.n - at) * sizeof *x.token);
	return edit_end(&x, 0, e);
}

/* --- look --------------------------------------------------------------------------------------- */

int tokens_list(const char *dir, struct arena *a, struct token **token, size_t *n, struct err *e)
{
	char path[TOKEN_PATH_BYTES];
	struct file_mark mark;

	if (token_path(path, dir, "tokens.json", e) < 0)
		return -1;
	return token_file_read(path, a, token, n, &mark, e);
}

void token_print(struct buf *b, const struct token *t)
{
	buf_byte(b, '{');
	token_print_members(b, t);
	buf_byte(b, '}');
}
