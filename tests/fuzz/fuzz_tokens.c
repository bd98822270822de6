/* tokens.json and the documents of POST /v1/tokens: damage lets nobody in, and
 * what is read is what would be written. */
#include <unistd.h>

#include "../../server/service/token_file.h"
#include "fuzz.h"

static char dir[] = "/dev/shm/prefd-fuzz-XXXXXX"; /* in memory: files are synced */
static char path[64];

static void remove_folder(void)
{
	unlink(path);
	rmdir(dir);
}

static void begin(void)
{
	if (path[0])
		return;
	MUST(mkdtemp(dir) != NULL);
	snprintf(path, sizeof path, "%s/tokens.json", dir);
	atexit(remove_folder);
}

static void try_file(struct arena *a, struct str text)
{
	struct token *token, *again;
	struct file_mark mark;
	struct err e = {0};
	size_t n, m;

	MUST(file_replace(path, text, 0600, &e) == 0);
	if (token_file_read(path, a, &token, &n, &mark, &e) < 0) {
		MUST(e.detail[0] != '\0');
		return;
	}
	MUST(n <= TOKENS_MAX && token_file_write(path, token, n, &e) == 0);
	MUST(token_file_read(path, a, &again, &m, &mark, &e) == 0 && n == m);
	for (size_t i = 0; i < n; i++) {
		MUST(str_eq(token[i].id, again[i].id) && str_eq(token[i].name, again[i].name));
		MUST(token[i].scopes == again[i].scopes && token[i].expires_us == again[i].expires_us);
		MUST(token[i].datasets.limited == again[i].datasets.limited && token[i].datasets.n == again[i].datasets.n);
	}
}

static void try_document(struct arena *a, struct str text)
{
	struct token_wish w;
	struct err e = {0};

	if (token_read_wish(a, text, 1, &w, &e) < 0)
		must_explain(&e);
	else
		MUST(w.scopes != 0 && (w.scopes & 1u << SCOPE_OPEN) == 0 && w.name.n > 0 && (w.expires_us == 0 || w.expires_us > 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a;

	if (size == 0)
		return 0;
	begin();
	arena_init(&a);
	if (data[0] & 1)
		try_file(&a, text_of(data + 1, size - 1));
	else
		try_document(&a, text_of(data + 1, size - 1));
	arena_release(&a);
	return 0;
}
