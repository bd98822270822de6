#include "manifest.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"

enum { REVISION_CHARS = 64 };

/* --- writing ------------------------------------------------------------------------- */

void manifest_begin(struct manifest_writer *w, int64_t now_us, int schema)
{
	char made_at[CLOCK_TEXT_BYTES];

	clock_print(now_us, made_at);
	*w = (struct manifest_writer){.text = BUF_INIT};
	buf_printf(&w->text,
	           "{\"format\":\"prefd-backup\",\"version\":%d,\"prefd\":\"%s\",\"made_at\":\"%s\",\"schema\":%d,"
	           "\"datasets\":[",
	           MANIFEST_VERSION, PREFD_VERSION, made_at, schema);
}

void manifest_dataset(struct manifest_writer *w, struct str name, int64_t seq)
{
	json_put_comma(&w->text);
	buf_lit(&w->text, "{\"dataset\":");
	json_put_string(&w->text, name);
	buf_printf(&w->text, ",\"seq\":%lld}", (long long)seq);
}

static void begin_files(struct manifest_writer *w)
{
	if (!w->files)
		buf_lit(&w->text, "],\"files\":[");
	w->files = true;
}

void manifest_file(struct manifest_writer *w, struct str name, const struct content *c)
{
	char hex[2 * SHA256_BYTES + 1];

	begin_files(w);
	hex_of(c->hash, SHA256_BYTES, hex);
	json_put_comma(&w->text);
	buf_lit(&w->text, "{\"name\":");
	json_put_string(&w->text, name);
	buf_printf(&w->text, ",\"bytes\":%llu,\"sha256\":\"%s\"}", (unsigned long long)c->bytes, hex);
}

void manifest_end(struct manifest_writer *w)
{
	begin_files(w);
	buf_lit(&w->text, "]}");
}

/* --- reading --------------------------------------------------------------------------- */

static int wrong(struct err *e, const char *what)
{
	return err_set(e, P_INTERNAL, "the backup's " MANIFEST_FILE " is damaged: %s", what);
}

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_hex(struct str s, size_t n)
{
	for (size_t i = 0; i < s.n; i++)
		if (digit(s.p[i]) < 0)
			return false;
	return s.n == n;
}

/* A name leads nowhere but into the folder. */
static bool known_name(struct str name)
{
	static const struct str before = {SNAPSHOTS_DIR "/", sizeof SNAPSHOTS_DIR}, after = {".snap", 5};

	if (str_eq(name, STR(DATABASE_FILE)) || str_eq(name, STR(TOKENS_FILE)))
		return true;
	return name.n == before.n + REVISION_CHARS + after.n && memcmp(name.p, before.p, before.n) == 0 &&
	       memcmp(name.p + name.n - after.n, after.p, after.n) == 0 &&
	       is_hex((struct str){name.p + before.n, REVISION_CHARS}, REVISION_CHARS);
}

static bool whole_number(const struct json *v, double max, double *out)
{
	*out = v && json_type(v) == JSON_NUMBER ? json_number(v) : -1;
	return *out >= 0 && *out <= max && *out == (double)(int64_t)*out;
}

static struct str text_of(const struct json *v)
{
	return v && json_type(v) == JSON_STRING ? json_string(v) : STR_NONE;
}

static int read_file(const struct json *v, struct manifest_file *f, struct err *e)
{
	struct str hash = text_of(json_get(v, "sha256"));
	double bytes;

	f->name = text_of(json_get(v, "name"));
	if (!known_name(f->name) || !is_hex(hash, 2 * SHA256_BYTES) || !whole_number(json_get(v, "bytes"), 0x1p53, &bytes))
		return wrong(e, "a file's name, length or hash");
	f->content.bytes = (uint64_t)bytes;
	for (size_t i = 0; i < SHA256_BYTES; i++)
		f->content.hash[i] = (uint8_t)(digit(hash.p[2 * i]) << 4 | digit(hash.p[2 * i + 1]));
	return 0;
}

static int read_files(struct arena *a, const struct json *list, struct manifest *m, struct err *e)
{
	bool database = false;

	if (list == NULL || json_type(list) != JSON_ARRAY)
		return wrong(e, "there is no list of files");
	m->file = ARENA_ARRAY(a, struct manifest_file, json_size(list));
	m->files = 0;
	for (const struct json *v = json_first(list); v; v = json_next(v)) {
		if (read_file(v, &m->file[m->files], e) < 0)
			return -1;
		database = database || str_eq(m->file[m->files].name, STR(DATABASE_FILE));
		m->files++;
	}
	return database ? 0 : wrong(e, "the database is not among its files");
}

static int read_text(struct arena *a, const char *dir, struct manifest *m, struct err *e)
{
	char path[COPY_PATH_BYTES];
	struct buf b = BUF_INIT;
	struct file_mark mark;
	int rc = copy_path(path, e, "%s/" MANIFEST_FILE, dir);

	if (rc == 0)
		rc = file_read(path, MANIFEST_BYTES_MAX, &b, &mark, e);
	if (rc == 0 && mark.inode == 0)
		rc = err_set(e, P_UNKNOWN_BACKUP, "there is no backup in %s: it has no " MANIFEST_FILE, dir);
	if (rc == 0)
		m->text = arena_str(a, buf_view(&b));
	buf_release(&b);
	return rc;
}

int manifest_read(struct arena *a, const char *dir, struct manifest *m, struct err *e)
{
	const struct json *v;
	struct err why;
	double version, schema;

	if (read_text(a, dir, m, e) < 0)
		return -1;
	v = json_parse(a, m->text, JSON_DEPTH_MAX, &why);
	if (v == NULL)
		return wrong(e, why.detail);
	if (!str_eq(text_of(json_get(v, "format")), STR("prefd-backup")) ||
	    !whole_number(json_get(v, "version"), 1e6, &version) || !whole_number(json_get(v, "schema"), 1e6, &schema))
		return wrong(e, "it is no backup's");
	if (version > MANIFEST_VERSION)
		return err_set(e, P_CONFLICT, "the backup is of version %d and this program knows %d: a newer prefd made it",
		               (int)version, MANIFEST_VERSION);
	m->schema = (int64_t)schema;
	return read_files(a, json_get(v, "files"), m, e);
}
