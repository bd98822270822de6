/* JSON: what the scan takes, the parser reads, and what is printed is a fixpoint. */
#include "base/json.h"
#include "fuzz.h"

static struct str canonical(struct arena *a, struct str text)
{
	struct buf b = BUF_INIT;
	struct err e;
	const struct json *v = json_parse(a, text, JSON_DEPTH_MAX, &e);
	struct str out;

	MUST(v != NULL);
	json_put_canonical(&b, v);
	out = arena_str(a, buf_view(&b));
	buf_release(&b);
	return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = text_of(data, size), once;
	struct err e = {0};
	struct buf compact = BUF_INIT;
	struct arena a;

	arena_init(&a);
	if (json_scan(text, JSON_DEPTH_MAX, &e) < 0) {
		must_explain(&e);
		MUST(json_parse(&a, text, JSON_DEPTH_MAX, &e) == NULL);
	} else {
		once = canonical(&a, text);
		MUST(str_eq(canonical(&a, once), once));
		json_compact(&compact, text);
		MUST(str_eq(canonical(&a, buf_view(&compact)), once));
		MUST(utf8_valid(once));
	}
	buf_release(&compact);
	arena_release(&a);
	return 0;
}
