/* token_file.c - tokens.json: one object, a line for each token. */
#include "token_file.h"

#include <stdio.h>

#include "base/hash.h"
#include "fields.h"
#include "print.h"
#include "token_wish.h"

enum { FILE_BYTES_MAX = 64 << 20, FILE_VERSION = 1 };

int token_path(char out[TOKEN_PATH_BYTES], const char *dir, const char *name, struct err *e)
{
	if (snprintf(out, TOKEN_PATH_BYTES, "%s/%s", dir, name) >= TOKEN_PATH_BYTES)
		return err_set(e, P_BAD_REQUEST, "the data folder's name is too long");
	return 0;
}

/* --- reading ---------------------------------------------------------------------------- */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int read_hash(struct reading *r, const struct json *v, void *to, struct err *e)
{
	uint8_t *hash = to;
	struct str hex;

	if (read_text(r, v, &hex, e) < 0)
		return -1;
	for (size_t i = 0; i < hex.n && hex.n == 2 * SHA256_BYTES; i += 2) {
		int high = hex_digit(hex.p[i]), low = hex_digit(hex.p[i + 1]);

		if (high < 0 || low < 0)
			return err_set(e, P_INVALID, "is no hash");
		hash[i / 2] = (uint8_t)(high << 4 | low);
	}
	return hex.n == 2 * SHA256_BYTES ? 0 : err_set(e, P_INVALID, "is no hash");
}

/* A time, or null. */
static int read_expiry(struct reading *r, const struct json *v, void *to, struct err *e)
{
	*(int64_t *)to = 0;
	return json_type(v) == JSON_NULL ? 0 : read_time(r, v, to, e);
}

struct set_reading {
	struct token *token;
	size_t n;
	int64_t version;
};

static const struct field token_fields[] = {
	{"id", read_id, offsetof(struct token, id), true},
	{"name", read_name, offsetof(struct token, name), true},
	{"scopes", read_scopes, offsetof(struct token, scopes), true},
	{"datasets", read_token_datasets, offsetof(struct token, datasets), true},
	{"created_at", read_time, offsetof(struct token, created_us), true},
	{"expires_at", read_expiry, offsetof(struct token, expires_us), true},
	{"requests_per_second", read_rate, offsetof(struct token, requests_per_second), false},
	{"bytes_per_second", read_rate, offsetof(struct token, bytes_per_second), false},
	{"hash", read_hash, offsetof(struct token, hash), true},
};

static int read_tokens(struct reading *r, const struct json *v, void *to, struct err *e)
{
	struct set_reading *s = to;

	if (want_type(v, JSON_ARRAY, e) < 0)
		return -1;
	if (json_size(v) > TOKENS_MAX)
		return err_set(e, P_INVALID, "more than %d tokens", TOKENS_MAX);
	s->token = ARENA_ARRAY(r->arena, struct token, json_size(v) + 1);
	for (const struct json *m = json_first(v); m; m = json_next(m), s->n++)
		if (fields_read(r, m, token_fields, FIELD_COUNT(token_fields), &s->token[s->n], e) < 0)
			return err_under(e, "/%zu", s->n);
	return 0;
}

static int read_all(struct arena *a, struct str text, struct set_reading *s, struct err *e)
{
	static const struct field fields[] = {
		{"version", read_count, offsetof(struct set_reading, version), true},
		{"tokens", read_tokens, 0, true},
	};
	struct reading r = {a, text, NULL};
	const struct json *v = json_parse(a, text, JSON_DEPTH_MAX, e);

	if (v == NULL || fields_read(&r, v, fields, FIELD_COUNT(fields), s, e) < 0)
		return -1;
	return s->version == FILE_VERSION ? 0 : err_set(e, P_INVALID, "is of version %lld", (long long)s->version);
}

int token_file_read(const char *path, struct arena *a, struct token **token, size_t *n, struct file_mark *mark,
                    struct err *e)
{
	struct set_reading s = {NULL, 0, 0};
	struct buf text = BUF_INIT;
	struct err why = {0};
	int rc = file_read(path, FILE_BYTES_MAX, &text, mark, e);

	if (rc == 0 && mark->inode != 0 && read_all(a, arena_str(a, buf_view(&text)), &s, &why) < 0)
		rc = err_set(e, P_INTERNAL, "%s cannot be used: %s %s", path, why.pointer, why.detail);
	buf_release(&text);
	*token = s.token;
	*n = s.n;
	return rc;
}

/* --- writing ------------------------------------------------------------------------------ */

static void print_list_end(struct buf *b)
{
	if (b->p[b->n - 1] == ',')
		b->n--;
	buf_byte(b, ']');
}

static void print_scopes(struct buf *b, unsigned scopes)
{
	buf_lit(b, ",\"scopes\":[");
	for (int i = 0; i < SCOPE_COUNT; i++)
		if (scopes >> i & 1)
			buf_printf(b, "\"%s\",", scope_words[i]);
	print_list_end(b);
}

static void print_datasets(struct buf *b, const struct token *t)
{
	if (!t->datasets.limited) {
		buf_lit(b, ",\"datasets\":null");
		return;
	}
	buf_lit(b, ",\"datasets\":[");
	for (size_t i = 0; i < t->datasets.n; i++) {
		json_put_string(b, t->datasets.id[i]);
		buf_byte(b, ',');
	}
	print_list_end(b);
}

void token_print_members(struct buf *b, const struct token *t)
{
	buf_lit(b, "\"id\":");
	json_put_string(b, t->id);
	print_member(b, "name", t->name);
	print_scopes(b, t->scopes);
	print_datasets(b, t);
	print_time_member(b, "created_at", t->created_us);
	if (t->expires_us)
		print_time_member(b, "expires_at", t->expires_us);
	else
		buf_lit(b, ",\"expires_at\":null");
	if (t->requests_per_second)
		print_count_member(b, "requests_per_second", t->requests_per_second);
	if (t->bytes_per_second)
		print_count_member(b, "bytes_per_second", t->bytes_per_second);
}

int token_file_write(const char *path, const struct token *token, size_t n, struct err *e)
{
	struct buf b = BUF_INIT;
	char hex[2 * SHA256_BYTES + 1];
	int rc;

	buf_printf(&b, "{\"version\":%d,\"tokens\":[", FILE_VERSION);
	for (size_t i = 0; i < n; i++) {
		buf_z(&b, i ? ",\n{" : "\n{");
		token_print_members(&b, &token[i]);
		hex_of(token[i].hash, SHA256_BYTES, hex);
		buf_printf(&b, ",\"hash\":\"%s\"}", hex);
	}
	buf_lit(&b, "\n]}\n");
	rc = file_replace(path, buf_view(&b), 0600, e);
	buf_release(&b);
	return rc;
}
