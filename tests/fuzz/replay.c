/* replay.c - runs a target over the files of its corpus: replay FILE|FOLDER...
 * Prints what cmocka's TAP would, so that the runner of the tests can read it. */
#include <dirent.h>
#include <string.h>

#include "base/file.h"
#include "fuzz.h"

enum { INPUT_BYTES_MAX = 1 << 20 };

static int done, failed;

static void replay(const char *path)
{
	struct buf text = BUF_INIT;
	struct file_mark mark;
	struct err e;

	done++;
	if (file_read(path, INPUT_BYTES_MAX, &text, &mark, &e) < 0 || mark.inode == 0) {
		printf("not ok %d - %s\n", done, path);
		failed++;
	} else {
		uint8_t *own = malloc(text.n + 1); /* of just its size, but for the NUL that nobody may count on */

		memcpy(own, text.p ? text.p : "", text.n);
		LLVMFuzzerTestOneInput(own, text.n);
		free(own);
		printf("ok %d - %s\n", done, path);
	}
	buf_release(&text);
}

static void replay_folder(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *f;
	char file[4096];

	if (d == NULL) {
		replay(path);
		return;
	}
	while ((f = readdir(d)))
		if (f->d_name[0] != '.') {
			snprintf(file, sizeof file, "%s/%s", path, f->d_name);
			replay(file);
		}
	closedir(d);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		replay_folder(argv[i]);
	printf("1..%d\n", done);
	return failed > 0 || done == 0;
}
