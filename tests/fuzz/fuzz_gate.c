/* The gate and the target: lines of headers, then a target behind an empty line.
 * What the gate lets through has one length at most, and it does not matter in
 * which order the lines come; a target is taken apart without climbing. */
#include <string.h>

#include "../../server/http/auth.h"
#include "../../server/http/gate.h"
#include "../../server/http/target.h"
#include "../../server/http/words.h"
#include "fuzz.h"

enum { LINES_MAX = 64 };

static size_t cut(struct str text, struct str line[LINES_MAX], struct str *behind)
{
	size_t n = 0;

	*behind = (struct str){"", 0};
	while (text.n > 0 && n < LINES_MAX) {
		const char *nl = memchr(text.p, '\n', text.n);
		struct str l = {text.p, nl ? (size_t)(nl - text.p) : text.n};

		text.p += l.n + (nl != NULL);
		text.n -= l.n + (nl != NULL);
		if (l.n == 0) {
			*behind = text;
			break;
		}
		line[n++] = l;
	}
	return n;
}

static int pass(const struct str *line, size_t n, bool backwards, bool *body, struct err *e)
{
	struct gate g;
	int rc;

	gate_init(&g);
	for (size_t i = 0; i < n; i++) {
		struct str l = line[backwards ? n - 1 - i : i];
		const char *colon = memchr(l.p, ':', l.n);
		size_t name = colon ? (size_t)(colon - l.p) : l.n;

		gate_header(&g, (struct str){l.p, name}, (struct str){l.p + name + (colon != NULL), l.n - name - (colon != NULL)});
		if (n < 3)
			host_is_loopback(l);
	}
	rc = gate_end(&g, STR("HTTP/1.1"), e);
	if (rc == 0) {
		MUST(g.lengths <= 1 && g.codings <= 1 && g.lengths + g.codings <= 1 && g.hosts == 1 && g.authorizations <= 1);
		*body = gate_has_body(&g);
	}
	return rc;
}

static void take_apart(struct str raw)
{
	struct target t;
	struct err e = {0};
	struct arena a;

	arena_init(&a);
	if (target_parse(&a, raw, &t, &e) < 0) {
		must_explain(&e);
	} else {
		MUST(t.path.n > 0 && t.path.p[0] == '/' && t.segments <= SEGMENTS_MAX + 1 && t.queries <= QUERIES_MAX);
		for (int i = 0; i < t.segments && i < SEGMENTS_MAX; i++) {
			MUST(!str_eq(t.segment[i], STR(".")) && !str_eq(t.segment[i], STR("..")));
			MUST(memchr(t.segment[i].p, '\0', t.segment[i].n) == NULL);
		}
	}
	arena_release(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str line[LINES_MAX], behind;
	size_t n = cut(text_of(data, size), line, &behind);
	struct err e = {0};
	bool body[2] = {false, false};
	int rc = pass(line, n, false, &body[0], &e);

	if (rc < 0)
		must_explain(&e);
	MUST(rc == pass(line, n, true, &body[1], &e) && body[0] == body[1]);
	take_apart(behind);
	return 0;
}
