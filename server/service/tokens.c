/* tokens.c - the daemon's view of tokens.json: a set that is read again when
 * the file is another one. */
#include "service/tokens.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/heap.h"
#include "base/log.h"
#include "token_file.h"

/* One reading of the file. Never changed; freed with its last access. */
struct token_set {
	struct arena arena;
	struct token *token;
	size_t n;
	struct file_mark mark;
	bool damaged;
	atomic_int users;
};

struct tokens {
	pthread_mutex_t mutex; /* guards set and closed */
	struct token_set *set;
	bool closed; /* a file was seen: a file that vanishes opens nothing */
	char path[TOKEN_PATH_BYTES];
};

/* --- sets --------------------------------------------------------------------------------- */

static void set_unref(struct token_set *s)
{
	if (atomic_fetch_sub(&s->users, 1) > 1)
		return;
	arena_release(&s->arena);
	heap_free(s);
}

static struct token_set *set_read(const char *path, struct err *e)
{
	struct token_set *s = heap_zalloc(1, sizeof *s);

	arena_init(&s->arena);
	atomic_init(&s->users, 1);
	s->damaged = token_file_read(path, &s->arena, &s->token, &s->n, &s->mark, e) < 0;
	return s;
}

/* Under the mutex. A file in the middle of nothing: it is replaced by rename. */
static void refresh(struct tokens *t)
{
	struct file_mark now;
	struct err e = {0};

	if (file_look(t->path, &now, &e) == 0 && file_same(&now, &t->set->mark))
		return;
	set_unref(t->set);
	t->set = set_read(t->path, &e);
	if (t->set->damaged) {
		t->set->mark = now; /* not again for each request */
		log_error("tokens", "nobody comes in detail=\"%s\"", e.detail);
	}
	t->closed |= now.inode != 0;
}

static struct token_set *current(struct tokens *t, bool *closed)
{
	struct token_set *s;

	pthread_mutex_lock(&t->mutex);
	refresh(t);
	s = t->set;
	atomic_fetch_add(&s->users, 1);
	*closed = t->closed;
	pthread_mutex_unlock(&t->mutex);
	return s;
}

/* --- the door -------------------------------------------------------------------------------- */

int tokens_open(struct tokens **out, const char *dir, struct err *e)
{
	struct tokens *t = heap_zalloc(1, sizeof *t);

	if (token_path(t->path, dir, "tokens.json", e) < 0) {
		heap_free(t);
		return -1;
	}
	t->set = set_read(t->path, e);
	if (t->set->damaged) {
		set_unref(t->set);
		heap_free(t);
		return -1;
	}
	t->closed = t->set->mark.inode != 0;
	pthread_mutex_init(&t->mutex, NULL);
	*out = t;
	return 0;
}

void tokens_close(struct tokens *t)
{
	if (t == NULL)
		return;
	set_unref(t->set);
	pthread_mutex_destroy(&t->mutex);
	heap_free(t);
}

bool tokens_closed(struct tokens *t)
{
	bool closed;

	set_unref(current(t, &closed));
	return closed;
}

/* The id inside a token's text; STR_NONE when it has another shape. */
static struct str id_of(struct str text)
{
	static const struct str front = {"prefd_", 6};

	if (text.n != TOKEN_TEXT_BYTES - 1 || memcmp(text.p, front.p, front.n) != 0)
		return STR_NONE;
	return (struct str){text.p + front.n, TOKEN_ID_CHARS};
}

/* Compares one hash whether or not the id is known. */
static const struct token *find(const struct token_set *s, struct str text)
{
	static const struct token nobody;
	const struct token *t = &nobody;
	struct str id = id_of(text);
	uint8_t hash[SHA256_BYTES];

	for (size_t i = 0; i < s->n; i++)
		if (str_eq(s->token[i].id, id))
			t = &s->token[i];
	sha256_of(text.p, text.n, hash);
	return hash_equal(hash, t->hash) && t != &nobody ? t : NULL;
}

static int enter(const struct token_set *s, struct str text, const struct token **found, struct err *e)
{
	const struct token *t;

	if (s->damaged)
		return err_set(e, P_UNAVAILABLE, "the file of tokens cannot be read; see the log");
	if (text.p == NULL)
		return err_set(e, P_UNAUTHORIZED, "send a token: Authorization: Bearer prefd_...");
	t = find(s, text);
	if (t == NULL)
		return err_set(e, P_UNAUTHORIZED, "the token is not known: mistyped, or revoked");
	if (t->expires_us && t->expires_us <= clock_now_us())
		return err_set(e, P_UNAUTHORIZED, "the token has expired");
	*found = t;
	return 0;
}

int tokens_enter(struct tokens *t, struct str text, struct access *a, struct err *e)
{
	bool closed;

	*a = (struct access){current(t, &closed), NULL};
	if (!closed && !a->set->damaged)
		return 0;
	if (enter(a->set, text, &a->token, e) == 0)
		return 0;
	access_end(a);
	return -1;
}

void access_end(struct access *a)
{
	if (a->set)
		set_unref(a->set);
	*a = (struct access){NULL, NULL};
}

bool access_scope(const struct access *a, enum scope wanted)
{
	return wanted == SCOPE_OPEN || a == NULL || a->token == NULL || (a->token->scopes & (1u << wanted | 1u << SCOPE_ADMIN)) != 0;
}

bool access_everywhere(const struct access *a)
{
	return a == NULL || a->token == NULL || !a->token->datasets.limited;
}

bool access_dataset(const struct access *a, struct str dataset)
{
	if (access_everywhere(a))
		return true;
	for (size_t i = 0; i < a->token->datasets.n; i++)
		if (str_eq(a->token->datasets.id[i], dataset))
			return true;
	return false;
}
