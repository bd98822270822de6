/* The splitter: rows and errors are the same under every chunking. */
#include <string.h>

#include "base/split.h"
#include "fuzz.h"

enum { ROW_BYTES = 200, STOP = 7 };

struct seen {
	struct buf rows;
	uint64_t stop_at;
};

static int note(void *ctx, uint64_t number, struct str row, struct err *e)
{
	struct seen *s = ctx;

	(void)e;
	MUST(row.n <= ROW_BYTES);
	buf_printf(&s->rows, "%llu:", (unsigned long long)number);
	buf_str(&s->rows, row);
	buf_byte(&s->rows, '\0');
	return number == s->stop_at ? STOP : 0;
}

static int run(struct seen *s, enum split_kind kind, const uint8_t *data, size_t size, bool in_steps, struct err *e)
{
	struct split x;
	int rc = 0;

	split_init(&x, kind, ROW_BYTES, note, s);
	for (size_t at = 0, n; at < size && rc == 0; at += n) {
		n = in_steps ? step_of(data, at, size) : size;
		rc = split_feed(&x, (const char *)data + at, n, e);
	}
	if (rc == 0)
		rc = split_end(&x, e);
	split_release(&x);
	return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err e[2] = {{0}, {0}};
	struct seen s[2] = {{BUF_INIT, 0}, {BUF_INIT, 0}};
	enum split_kind kind;
	int rc[2];

	if (size == 0)
		return 0;
	kind = data[0] & 1 ? SPLIT_JSON : SPLIT_NDJSON;
	s[0].stop_at = s[1].stop_at = data[0] >> 1; /* mostly behind the last row */
	for (int i = 0; i < 2; i++)
		rc[i] = run(&s[i], kind, data + 1, size - 1, i == 1, &e[i]);
	MUST(rc[0] == rc[1]);
	MUST(str_eq(buf_view(&s[0].rows), buf_view(&s[1].rows)));
	/* What the self-test plants: rare enough that it must be looked for. */
	MUST(!(getenv("PREFD_FUZZ_PLANT") && rc[0] == 0 && s[0].rows.n > 8 && memchr(s[0].rows.p, '}', s[0].rows.n)));
	if (rc[0] < 0) {
		must_explain(&e[0]);
		MUST(e[0].problem == e[1].problem && strcmp(e[0].detail, e[1].detail) == 0);
	}
	buf_release(&s[0].rows);
	buf_release(&s[1].rows);
	return 0;
}
