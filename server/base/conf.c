#include "base/conf.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/log.h"

enum { FILE_BYTES = 1024 * 1024, NAME_BYTES = 64 };

enum kind { KIND_text, KIND_whole };
enum when { WHEN_restart, WHEN_reload };

struct setting {
	const char *name, *def, *help;
	enum kind kind;
	enum when when;
	int64_t min, max;
	size_t at; /* in struct conf */
};

static const struct setting settings[] = {
#define X(member, kind, def, min, max, when, help) \
	{#member, def, help, KIND_##kind, WHEN_##when, min, max, offsetof(struct conf, member)},
	SETTINGS(X)
#undef X
};
enum { SETTING_COUNT = sizeof settings / sizeof settings[0] };

/* The file's values that are or were in use; they live as long as the process. */
static struct arena kept;

static const struct setting *setting_by_name(struct str name)
{
	for (int i = 0; i < SETTING_COUNT; i++)
		if (str_eq(name, str_of(settings[i].name)))
			return &settings[i];
	return NULL;
}

static _Atomic int64_t *whole_in(struct conf *c, const struct setting *s)
{
	return (_Atomic int64_t *)((char *)c + s->at);
}

static _Atomic(const char *) *text_in(struct conf *c, const struct setting *s)
{
	return (_Atomic(const char *) *)((char *)c + s->at);
}

/* --- one value -------------------------------------------------------------------- */

/* The words that a text setting takes; NULL: any text. */
static const char *const *words_of(const struct setting *s)
{
	static const char *const levels[] = {"error", "warn", "info", "debug", NULL};
	static const char *const stores[] = {"sqlite", NULL};

	if (s->at == offsetof(struct conf, log_level))
		return levels;
	if (s->at == offsetof(struct conf, store))
		return stores;
	return NULL;
}

/* Decimal digits only, at most 18 of them: no sign, no unit, no overflow. */
static bool whole_of(const char *z, int64_t *v)
{
	size_t n = strlen(z);

	if (n == 0 || n > 18 || strspn(z, "0123456789") != n)
		return false;
	*v = strtoll(z, NULL, 10);
	return true;
}

static int set_whole(struct conf *c, const struct setting *s, const char *value, const char *source, struct err *e)
{
	int64_t v;

	if (!whole_of(value, &v) || v < s->min || v > s->max)
		return err_set(e, P_BAD_REQUEST, "%s: %s is a whole number from %" PRId64 " to %" PRId64 ", not '%s'",
		               source, s->name, s->min, s->max, value);
	*whole_in(c, s) = v;
	return 0;
}

static int refuse_word(const struct setting *s, const char *const *words, const char *value, const char *source,
                       struct err *e)
{
	char list[128] = "";

	for (size_t i = 0; words[i]; i++)
		snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", i ? ", " : "", words[i]);
	return err_set(e, P_BAD_REQUEST, "%s: %s is one of %s, not '%s'", source, s->name, list, value);
}

static int set_text(struct conf *c, const struct setting *s, const char *value, const char *source, struct err *e)
{
	const char *const *words = words_of(s);
	size_t i = 0;

	if (*value == '\0')
		return err_set(e, P_BAD_REQUEST, "%s: %s must not be empty", source, s->name);
	while (words && words[i] && strcmp(words[i], value) != 0)
		i++;
	if (words && words[i] == NULL)
		return refuse_word(s, words, value, source, e);
	*text_in(c, s) = value;
	return 0;
}

static int set(struct conf *c, const struct setting *s, const char *value, const char *source, struct err *e)
{
	return s->kind == KIND_whole ? set_whole(c, s, value, source, e) : set_text(c, s, value, source, e);
}

static int load_defaults(struct conf *c, struct err *e)
{
	for (int i = 0; i < SETTING_COUNT; i++)
		if (set(c, &settings[i], settings[i].def, "default", e) < 0)
			return -1;
	return 0;
}

/* --- the file ----------------------------------------------------------------------- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static struct str trim(struct str s)
{
	while (s.n > 0 && is_blank(s.p[0])) {
		s.p++;
		s.n--;
	}
	while (s.n > 0 && is_blank(s.p[s.n - 1]))
		s.n--;
	return s;
}

/* A comment begins with a # at the line's start or behind a blank, so that a
 * path may hold one. */
static struct str without_comment(struct str line)
{
	for (size_t i = 0; i < line.n; i++)
		if (line.p[i] == '#' && (i == 0 || is_blank(line.p[i - 1])))
			line.n = i;
	return trim(line);
}

/* The file's lines; their values live in the arena. */
struct lines {
	struct arena *values;
	bool seen[SETTING_COUNT];
};

static int load_line(struct conf *c, struct str line, const char *source, struct lines *l, struct err *e)
{
	const char *eq = memchr(line.p, '=', line.n);
	const struct setting *s;
	struct str name;

	if (eq == NULL)
		return err_set(e, P_BAD_REQUEST, "%s: expected 'name = value', not '%.*s'", source, STR_ARG(line));
	name = trim((struct str){line.p, (size_t)(eq - line.p)});
	if ((s = setting_by_name(name)) == NULL)
		return err_set(e, P_BAD_REQUEST, "%s: there is no setting '%.*s'", source, STR_ARG(name));
	if (l->seen[s - settings])
		return err_set(e, P_BAD_REQUEST, "%s: %s is set twice in this file", source, s->name);
	l->seen[s - settings] = true;
	line = trim((struct str){eq + 1, line.n - (size_t)(eq + 1 - line.p)});
	return set(c, s, arena_str(l->values, line).p, source, e);
}

static int load_lines(struct conf *c, const char *path, struct str text, struct arena *values, struct err *e)
{
	struct lines l = {.values = values};
	char source[300];

	for (int number = 1; text.n > 0; number++) {
		const char *nl = memchr(text.p, '\n', text.n);
		size_t n = nl ? (size_t)(nl - text.p) : text.n;
		struct str line = without_comment((struct str){text.p, n});

		snprintf(source, sizeof source, "%s:%d", path, number);
		if (memchr(line.p, '\0', line.n))
			return err_set(e, P_BAD_REQUEST, "%s: a NUL byte", source);
		if (line.n > 0 && load_line(c, line, source, &l, e) < 0)
			return -1;
		n += nl != NULL;
		text.p += n;
		text.n -= n;
	}
	return 0;
}

static int read_file(const char *path, struct buf *b, struct err *e)
{
	FILE *f = fopen(path, "re");
	int failed = 0;

	if (f) {
		b->n = fread(buf_room(b, FILE_BYTES + 1), 1, FILE_BYTES + 1, f);
		failed = ferror(f) ? errno : 0;
		fclose(f);
	} else {
		failed = errno;
	}
	if (failed)
		return err_set(e, P_BAD_REQUEST, "%s: %s", path, strerror(failed));
	if (b->n > FILE_BYTES)
		return err_set(e, P_BAD_REQUEST, "%s: more than %d bytes", path, FILE_BYTES);
	return 0;
}

static int load_file(struct conf *c, const char *path, struct arena *values, struct err *e)
{
	struct buf b = BUF_INIT;
	int rc = read_file(path, &b, e);

	if (rc == 0)
		rc = load_lines(c, path, buf_view(&b), values, e);
	buf_release(&b);
	return rc;
}

/* --- the environment ------------------------------------------------------------------ */

static void variable_of(const struct setting *s, char out[NAME_BYTES])
{
	int n = snprintf(out, NAME_BYTES, "PREFD_%s", s->name);

	for (int i = 0; i < n; i++)
		if (out[i] >= 'a' && out[i] <= 'z')
			out[i] = (char)(out[i] - 'a' + 'A');
}

/* Other PREFD_ variables may belong to other tools and are let be. */
static int load_environment(struct conf *c, struct err *e)
{
	for (int i = 0; i < SETTING_COUNT; i++) {
		char name[NAME_BYTES];
		const char *value;

		variable_of(&settings[i], name);
		value = getenv(name);
		if (value && set(c, &settings[i], value, name, e) < 0)
			return -1;
	}
	return 0;
}

/* --- flags ------------------------------------------------------------------------------ */

struct flag {
	char name[NAME_BYTES]; /* with the leading -- */
	const char *value;
};

/* The flag at argv[*i], as `--name VALUE` or `--name=VALUE`; steps over it. */
static int next_flag(int argc, char **argv, int *i, struct flag *f, struct err *e)
{
	const char *arg = argv[(*i)++], *eq = strchr(arg, '=');
	size_t n = eq ? (size_t)(eq - arg) : strlen(arg);

	if (strncmp(arg, "--", 2) != 0)
		return err_set(e, P_BAD_REQUEST, "'%s' is not a flag", arg);
	if (n >= sizeof f->name)
		return err_set(e, P_BAD_REQUEST, "there is no flag '%s'", arg);
	memcpy(f->name, arg, n);
	f->name[n] = '\0';
	if (eq)
		f->value = eq + 1;
	else
		f->value = *i < argc ? argv[(*i)++] : NULL;
	return 0;
}

/* --http-threads is http_threads. NULL when it is no setting's flag. */
static const struct setting *setting_of_flag(const struct flag *f)
{
	char name[NAME_BYTES];

	snprintf(name, sizeof name, "%s", f->name + 2);
	if (strchr(name, '_'))
		return NULL;
	for (char *p = name; *p; p++)
		if (*p == '-')
			*p = '_';
	return setting_by_name(str_of(name));
}

/* Checks the names of all flags, and finds the file. */
static int scan_flags(int argc, char **argv, int first, const char **file, struct err *e)
{
	struct flag f;

	*file = NULL;
	for (int i = first; i < argc;) {
		if (next_flag(argc, argv, &i, &f, e) < 0)
			return -1;
		if (strcmp(f.name, "--config") == 0)
			*file = f.value;
		else if (setting_of_flag(&f) == NULL)
			return err_set(e, P_BAD_REQUEST, "there is no flag '%s'", f.name);
		if (f.value == NULL)
			return err_set(e, P_BAD_REQUEST, "%s: the value is missing", f.name);
	}
	return 0;
}

/* After scan_flags: every flag is --config or a setting's. */
static int load_flags(struct conf *c, int argc, char **argv, int first, struct err *e)
{
	struct flag f;

	for (int i = first; i < argc;) {
		const struct setting *s;

		if (next_flag(argc, argv, &i, &f, e) < 0)
			return -1;
		s = setting_of_flag(&f);
		if (s && set(c, s, f.value, f.name, e) < 0)
			return -1;
	}
	return 0;
}

static int load(struct conf *c, int argc, char **argv, int first, struct arena *values, struct err *e)
{
	const char *file;

	if (scan_flags(argc, argv, first, &file, e) < 0 || load_defaults(c, e) < 0)
		return -1;
	if (file && load_file(c, file, values, e) < 0)
		return -1;
	if (load_environment(c, e) < 0)
		return -1;
	return load_flags(c, argc, argv, first, e);
}

int conf_load(struct conf *c, int argc, char **argv, int first, struct err *e)
{
	return load(c, argc, argv, first, &kept, e);
}

/* --- again ------------------------------------------------------------------------------- */

static bool same(struct conf *a, struct conf *b, const struct setting *s)
{
	if (s->kind == KIND_whole)
		return *whole_in(a, s) == *whole_in(b, s);
	return strcmp(*text_in(a, s), *text_in(b, s)) == 0;
}

static void take_over(struct conf *c, struct conf *fresh, const struct setting *s)
{
	if (s->kind == KIND_whole)
		*whole_in(c, s) = *whole_in(fresh, s);
	else
		*text_in(c, s) = arena_str(&kept, str_of(*text_in(fresh, s))).p;
}

int conf_reload(struct conf *c, int argc, char **argv, int first, struct err *e)
{
	struct arena values;
	struct conf fresh;
	int rc;

	arena_init(&values);
	rc = load(&fresh, argc, argv, first, &values, e);
	for (int i = 0; rc == 0 && i < SETTING_COUNT; i++) {
		const struct setting *s = &settings[i];

		if (same(c, &fresh, s))
			continue;
		if (s->when == WHEN_reload)
			take_over(c, &fresh, s);
		log_write(s->when == WHEN_reload ? LOG_INFO : LOG_WARN, "conf", "changed setting=%s taken=%s", s->name,
		          s->when == WHEN_reload ? "now" : "at the next start");
	}
	arena_release(&values);
	return rc;
}

void conf_usage(void)
{
	for (int i = 0; i < SETTING_COUNT; i++) {
		const struct setting *s = &settings[i];
		char name[NAME_BYTES];
		int n = snprintf(name, sizeof name, "%s", s->name);

		for (int j = 0; j < n; j++)
			if (name[j] == '_')
				name[j] = '-';
		printf("  --%-19s %s (default %s", name, s->help, s->def);
		if (s->kind == KIND_whole)
			printf("; %" PRId64 " to %" PRId64, s->min, s->max);
		printf("%s)\n", s->when == WHEN_reload ? "; reload" : "");
	}
	printf("  --%-19s %s\n", "config", "a file of lines 'name = value'; # begins a comment");
}
