/* The file of tokens: what comes in goes out, what is broken lets nobody in,
 * and a change by another process is seen by the next request. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "folder_kit.h"
#include "service/tokens.h"

#define DAY_US (24 * INT64_C(3600) * 1000000)

struct folder {
	char dir[64], path[96];
	struct arena arena;
};

static int setup(void **state)
{
	struct folder *f = calloc(1, sizeof *f);

	strcpy(f->dir, "/tmp/prefd-tokens-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof f->path, "%s/tokens.json", f->dir);
	arena_init(&f->arena);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct folder *f = *state;

	arena_release(&f->arena);
	folder_remove(f->dir);
	free(f);
	return 0;
}

static struct token_wish wish(const char *name, const char *scopes)
{
	struct token_wish w = {.name = str_of(name)};
	struct err e;

	assert_int_equal(token_scopes(str_of(scopes), &w.scopes, &e), 0);
	return w;
}

static struct token create(struct folder *f, const struct token_wish *w, char secret[TOKEN_TEXT_BYTES])
{
	struct token made;
	struct err e;

	assert_int_equal(tokens_create(f->dir, w, &f->arena, &made, secret, &e), 0);
	return made;
}

static enum problem enter(struct tokens *t, const char *text)
{
	struct access a;
	struct err e = {0};

	if (tokens_enter(t, text ? str_of(text) : STR_NONE, &a, &e) < 0)
		return e.problem;
	access_end(&a);
	return P_NONE;
}

static struct tokens *open_tokens(struct folder *f)
{
	struct tokens *t;
	struct err e;

	assert_int_equal(tokens_open(&t, f->dir, &e), 0);
	return t;
}

static void test_open_until_the_first(void **state)
{
	struct folder *f = *state;
	struct tokens *t = open_tokens(f);
	struct token_wish w = wish("judge", "ingest");
	char secret[TOKEN_TEXT_BYTES];

	assert_false(tokens_closed(t));
	assert_int_equal(enter(t, NULL), P_NONE);
	create(f, &w, secret);
	assert_true(tokens_closed(t));
	assert_int_equal(enter(t, NULL), P_UNAUTHORIZED);
	assert_int_equal(enter(t, secret), P_NONE);
	/* A file that vanishes opens nothing. */
	unlink(f->path);
	assert_int_equal(enter(t, NULL), P_UNAUTHORIZED);
	assert_int_equal(enter(t, secret), P_UNAUTHORIZED);
	tokens_close(t);
}

static void test_scopes_and_datasets(void **state)
{
	struct folder *f = *state;
	struct str datasets[] = {STR("a"), STR("b")};
	struct token_wish w = wish("trainer", "read,train");
	char secret[TOKEN_TEXT_BYTES];
	struct access a;
	struct tokens *t;
	struct token was;
	struct err e;

	w.datasets = (struct token_datasets){true, datasets, 2};
	create(f, &w, secret);
	t = open_tokens(f);
	assert_int_equal(tokens_enter(t, str_of(secret), &a, &e), 0);
	assert_true(access_scope(&a, SCOPE_OPEN));
	assert_true(access_scope(&a, SCOPE_READ));
	assert_true(access_scope(&a, SCOPE_TRAIN));
	assert_false(access_scope(&a, SCOPE_INGEST));
	assert_false(access_scope(&a, SCOPE_ADMIN));
	assert_true(access_dataset(&a, STR("b")));
	assert_false(access_dataset(&a, STR("c")));
	assert_false(access_everywhere(&a));
	/* What a request began with stays, whatever happens to the file. */
	assert_int_equal(tokens_revoke(f->dir, STR("trainer"), &f->arena, &was, &e), 0);
	assert_int_equal(enter(t, secret), P_UNAUTHORIZED);
	assert_true(access_dataset(&a, STR("a")));
	access_end(&a);
	tokens_close(t);
}

static void test_admin_holds_all(void **state)
{
	struct folder *f = *state;
	struct token_wish w = wish("root", "admin");
	char secret[TOKEN_TEXT_BYTES];
	struct access a;
	struct tokens *t;
	struct err e;

	create(f, &w, secret);
	t = open_tokens(f);
	assert_int_equal(tokens_enter(t, str_of(secret), &a, &e), 0);
	for (int scope = 0; scope < SCOPE_COUNT; scope++)
		assert_true(access_scope(&a, (enum scope)scope));
	assert_true(access_everywhere(&a));
	access_end(&a);
	tokens_close(t);
}

static void test_wrong_texts(void **state)
{
	struct folder *f = *state;
	struct token_wish w = wish("judge", "ingest");
	char secret[TOKEN_TEXT_BYTES], wrong[TOKEN_TEXT_BYTES + 1];
	struct tokens *t;

	create(f, &w, secret);
	t = open_tokens(f);
	for (size_t i = 0; i < TOKEN_TEXT_BYTES - 1; i++) {
		strcpy(wrong, secret);
		wrong[i] = wrong[i] == '0' ? '1' : '0';
		assert_int_equal(enter(t, wrong), P_UNAUTHORIZED);
		strcpy(wrong, secret);
		wrong[i] = '\0';
		assert_int_equal(enter(t, wrong), P_UNAUTHORIZED);
	}
	snprintf(wrong, sizeof wrong, "%s0", secret);
	assert_int_equal(enter(t, wrong), P_UNAUTHORIZED);
	assert_int_equal(enter(t, ""), P_UNAUTHORIZED);
	assert_int_equal(enter(t, secret), P_NONE);
	tokens_close(t);
}

static void test_expiry(void **state)
{
	struct folder *f = *state;
	struct token_wish w = wish("guest", "read");
	char secret[TOKEN_TEXT_BYTES];
	int64_t now = clock_now_us();
	struct tokens *t;
	struct err e;

	assert_int_equal(token_expiry(STR("30d"), now, &w.expires_us, &e), 0);
	assert_int_equal(w.expires_us - now, 30 * DAY_US);
	create(f, &w, secret);
	t = open_tokens(f);
	assert_int_equal(enter(t, secret), P_NONE);
	clock_shift_us(30 * DAY_US + 1000000);
	assert_int_equal(enter(t, secret), P_UNAUTHORIZED);
	clock_shift_us(-(30 * DAY_US + 1000000));
	assert_int_equal(enter(t, secret), P_NONE);
	tokens_close(t);
}

static void test_expiry_texts(void **state)
{
	static const char *const wrong[] = {"", "d", "0d", "-1d", "1w", "1.5h", "30", "9999999999d", "999999999d",
	                                    "2001-01-01T00:00:00Z", "soon"};
	int64_t us;
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		assert_int_equal(token_expiry(str_of(wrong[i]), clock_now_us(), &us, &e), -1);
		assert_int_equal(e.problem, P_INVALID);
	}
	assert_int_equal(token_expiry(STR("90s"), 5, &us, &e), 0);
	assert_int_equal(us, 90000005);
	assert_int_equal(token_expiry(STR("1970-01-01T00:00:01Z"), 5, &us, &e), 0);
	assert_int_equal(us, 1000000);
}

static void test_scope_lists(void **state)
{
	unsigned scopes;
	struct err e;

	(void)state;
	assert_int_equal(token_scopes(STR("read, admin"), &scopes, &e), 0);
	assert_int_equal(scopes, 1u << SCOPE_READ | 1u << SCOPE_ADMIN);
	assert_int_equal(token_scopes(STR(""), &scopes, &e), -1);
	assert_int_equal(token_scopes(STR("open"), &scopes, &e), -1);
	assert_int_equal(token_scopes(STR("read,"), &scopes, &e), 0);
	assert_int_equal(token_scopes(STR("read,write"), &scopes, &e), -1);
	assert_non_null(strstr(e.detail, "write"));
}

/* The secret stands nowhere; the file is the owner's alone; all else is kept. */
static void test_file(void **state)
{
	struct folder *f = *state;
	struct str dataset = STR("a");
	struct token_wish w = wish("quote \" and é", "read,ingest");
	char secret[TOKEN_TEXT_BYTES];
	struct token *token, made;
	struct buf text = BUF_INIT;
	struct file_mark mark;
	struct stat s;
	struct err e;
	size_t n;

	w.datasets = (struct token_datasets){true, &dataset, 1};
	w.requests_per_second = 100;
	w.bytes_per_second = 1000000;
	made = create(f, &w, secret);
	assert_int_equal(stat(f->path, &s), 0);
	assert_int_equal(s.st_mode & 0777, 0600);
	assert_int_equal(file_read(f->path, 1 << 20, &text, &mark, &e), 0);
	buf_byte(&text, '\0');
	assert_null(strstr(text.p, secret));
	assert_null(strstr(text.p, strrchr(secret, '_') + 1));
	buf_release(&text);
	assert_int_equal(tokens_list(f->dir, &f->arena, &token, &n, &e), 0);
	assert_int_equal(n, 1);
	assert_true(str_eq(token->id, made.id) && str_eq(token->name, w.name));
	assert_int_equal(token->scopes, w.scopes);
	assert_true(token->datasets.limited && token->datasets.n == 1 && str_eq(token->datasets.id[0], dataset));
	assert_int_equal(token->created_us, made.created_us);
	assert_int_equal(token->expires_us, 0);
	assert_int_equal(token->requests_per_second, 100);
	assert_int_equal(token->bytes_per_second, 1000000);
	assert_memory_equal(token->hash, made.hash, sizeof made.hash);
}

static void test_names_are_one(void **state)
{
	struct folder *f = *state;
	struct token_wish w = wish("judge", "ingest");
	char secret[TOKEN_TEXT_BYTES];
	struct token made;
	struct err e;

	create(f, &w, secret);
	assert_int_equal(tokens_create(f->dir, &w, &f->arena, &made, secret, &e), -1);
	assert_int_equal(e.problem, P_CONFLICT);
	assert_int_equal(tokens_revoke(f->dir, STR("nobody"), &f->arena, &made, &e), -1);
	assert_int_equal(e.problem, P_UNKNOWN_TOKEN);
}

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

/* Whatever is wrong with the file, nobody comes in, and no tool overwrites it. */
static void test_damage(void **state)
{
	static const char *const wrong[] = {
		"", "{", "[]", "{\"version\":1}", "{\"version\":2,\"tokens\":[]}", "{\"version\":1,\"tokens\":[{}]}",
		"{\"version\":1,\"tokens\":[],\"more\":1}",
		"{\"version\":1,\"tokens\":[{\"id\":\"a\",\"name\":\"n\",\"scopes\":[\"read\"],\"datasets\":null,"
		"\"created_at\":\"2026-01-01T00:00:00Z\",\"expires_at\":null,\"hash\":\"00\"}]}",
	};
	struct folder *f = *state;
	struct token_wish w = wish("judge", "ingest");
	char secret[TOKEN_TEXT_BYTES];
	struct tokens *t, *fresh;
	struct token made;
	struct err e;

	create(f, &w, secret);
	t = open_tokens(f);
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		write_file(f->path, wrong[i]);
		assert_int_equal(enter(t, secret), P_UNAVAILABLE);
		assert_int_equal(enter(t, NULL), P_UNAVAILABLE);
		assert_int_equal(tokens_open(&fresh, f->dir, &e), -1);
		assert_int_equal(tokens_create(f->dir, &w, &f->arena, &made, secret, &e), -1);
	}
	write_file(f->path, "{\"version\":1,\"tokens\":[]}");
	assert_int_equal(enter(t, secret), P_UNAUTHORIZED);
	tokens_close(t);
}

/* --- writers beside each other ---------------------------------------------------------- */

enum { WRITERS = 4, EACH = 10 };

struct writer {
	pthread_t thread;
	const char *dir;
	int number, failed;
};

static void *write_some(void *arg)
{
	struct writer *w = arg;
	struct arena a;

	arena_init(&a);
	for (int i = 0; i < EACH; i++) {
		char name[32], secret[TOKEN_TEXT_BYTES];
		struct token_wish x = {.scopes = 1u << SCOPE_READ};
		struct token made;
		struct err e;

		snprintf(name, sizeof name, "%d-%d", w->number, i);
		x.name = str_of(name);
		w->failed += tokens_create(w->dir, &x, &a, &made, secret, &e) < 0;
		if (i % 2)
			w->failed += tokens_revoke(w->dir, x.name, &a, &made, &e) < 0;
		arena_reset(&a);
	}
	arena_release(&a);
	return NULL;
}

/* Nothing that one of them wrote is lost by another. */
static void test_writers(void **state)
{
	struct folder *f = *state;
	struct writer w[WRITERS];
	struct tokens *t;
	struct token *token;
	struct err e;
	size_t n;

	t = open_tokens(f);
	for (int i = 0; i < WRITERS; i++) {
		w[i] = (struct writer){.dir = f->dir, .number = i};
		pthread_create(&w[i].thread, NULL, write_some, &w[i]);
	}
	for (int i = 0; i < 200; i++)
		enter(t, "prefd_nobody");
	for (int i = 0; i < WRITERS; i++) {
		pthread_join(w[i].thread, NULL);
		assert_int_equal(w[i].failed, 0);
	}
	assert_int_equal(tokens_list(f->dir, &f->arena, &token, &n, &e), 0);
	assert_int_equal(n, WRITERS * EACH / 2);
	tokens_close(t);
}

/* --- documents ------------------------------------------------------------------------------ */

static void test_documents(void **state)
{
	static const struct {
		const char *body, *pointer;
	} wrong[] = {
		{"{\"scopes\":[\"read\"]}", "/name"},
		{"{\"name\":\"x\"}", "/scopes"},
		{"{\"name\":\"\",\"scopes\":[\"read\"]}", "/name"},
		{"{\"name\":\"x\",\"scopes\":[]}", "/scopes"},
		{"{\"name\":\"x\",\"scopes\":[\"open\"]}", "/scopes"},
		{"{\"name\":\"x\",\"scopes\":[\"read\"],\"datasets\":[]}", "/datasets"},
		{"{\"name\":\"x\",\"scopes\":[\"read\"],\"datasets\":[\"a\",\"../b\"]}", "/datasets/1"},
		{"{\"name\":\"x\",\"scopes\":[\"read\"],\"expires\":\"yesterday\"}", "/expires"},
		{"{\"name\":\"x\",\"scopes\":[\"read\"],\"requests_per_second\":0}", "/requests_per_second"},
		{"{\"name\":\"x\",\"scopes\":[\"read\"],\"hash\":\"00\"}", "/hash"},
	};
	struct folder *f = *state;
	struct token_wish w;
	struct err e;

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		assert_int_equal(token_read_wish(&f->arena, str_of(wrong[i].body), 0, &w, &e), -1);
		assert_string_equal(e.pointer, wrong[i].pointer);
		assert_int_equal(problem_status(e.problem), 422);
	}
	assert_int_equal(token_read_wish(&f->arena,
	                                 STR("{\"name\":\"x\",\"scopes\":[\"read\",\"train\"],\"datasets\":[\"a\"],"
	                                     "\"expires\":\"1d\",\"bytes_per_second\":7}"),
	                                 0, &w, &e),
	                 0);
	assert_int_equal(w.scopes, 1u << SCOPE_READ | 1u << SCOPE_TRAIN);
	assert_int_equal(w.datasets.n, 1);
	assert_int_equal(w.expires_us, DAY_US);
	assert_int_equal(w.bytes_per_second, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_open_until_the_first, setup, teardown),
		cmocka_unit_test_setup_teardown(test_scopes_and_datasets, setup, teardown),
		cmocka_unit_test_setup_teardown(test_admin_holds_all, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wrong_texts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_expiry, setup, teardown),
		cmocka_unit_test_setup_teardown(test_expiry_texts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_scope_lists, setup, teardown),
		cmocka_unit_test_setup_teardown(test_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_names_are_one, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damage, setup, teardown),
		cmocka_unit_test_setup_teardown(test_writers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_documents, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
