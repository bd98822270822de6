#include "resume.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_HASH_BYTES = 16, PLACE_HASH_BYTES = 8 };

#define PREFIX "import-"
/* Of a name, in front of the import's own hash. */
enum { PLACE_CHARS = sizeof PREFIX - 1 + 2 * PLACE_HASH_BYTES + 1 };

/* Makes every folder on the way to the file. */
static bool make_folders(const char *path)
{
	char part[sizeof((struct resume *)NULL)->path];

	for (const char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
		memcpy(part, path, (size_t)(p - path));
		part[p - path] = '\0';
		mkdir(part, 0700); /* it may be there; access tells in the end */
	}
	return access(part, W_OK) == 0;
}

static void hash_parts(const struct str *parts, size_t n, size_t bytes, char *hex)
{
	uint8_t hash[SHA256_BYTES];
	struct sha256 h;

	sha256_init(&h);
	for (size_t i = 0; i < n; i++)
		sha256_field(&h, parts[i]);
	sha256_end(&h, hash);
	hex_of(hash, bytes, hex);
}

void resume_init(struct resume *r, const struct str *parts, size_t place, size_t n)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	char where[2 * PLACE_HASH_BYTES + 1], hex[2 * NAME_HASH_BYTES + 1];
	int length = -1;

	hash_parts(parts, place, PLACE_HASH_BYTES, where);
	hash_parts(parts, n, NAME_HASH_BYTES, hex);
	if (state && *state == '/')
		length = snprintf(r->path, sizeof r->path, "%s/prefd/" PREFIX "%s-%s", state, where, hex);
	else if (home && *home == '/')
		length = snprintf(r->path, sizeof r->path, "%s/.local/state/prefd/" PREFIX "%s-%s", home, where, hex);
	if (length < 0 || (size_t)length >= sizeof r->path - sizeof ".part" || !make_folders(r->path))
		r->path[0] = '\0';
}

struct resume_point resume_load(const struct resume *r)
{
	struct resume_point at = {0, 0};
	FILE *f = r->path[0] ? fopen(r->path, "re") : NULL;

	if (f == NULL)
		return at;
	if (fscanf(f, "rows %" SCNu64 " rejected %" SCNu64, &at.rows, &at.rejected) != 2)
		at = (struct resume_point){0, 0};
	fclose(f);
	return at;
}

void resume_save(const struct resume *r, struct resume_point at)
{
	char part[sizeof r->path + sizeof ".part"];
	FILE *f;

	if (r->path[0] == '\0')
		return;
	snprintf(part, sizeof part, "%s.part", r->path);
	f = fopen(part, "we");
	if (f == NULL)
		return;
	fprintf(f, "rows %" PRIu64 " rejected %" PRIu64 "\n", at.rows, at.rejected);
	if (fclose(f) == 0)
		rename(part, r->path);
}

void resume_forget(const struct resume *r)
{
	const char *name = strrchr(r->path, '/');
	char folder[sizeof r->path];
	struct dirent *d;
	DIR *dir;

	if (name++ == NULL)
		return;
	snprintf(folder, sizeof folder, "%.*s", (int)(name - r->path), r->path);
	dir = opendir(folder);
	if (dir == NULL)
		return;
	while ((d = readdir(dir)) != NULL)
		if (strncmp(d->d_name, name, PLACE_CHARS) == 0)
			unlinkat(dirfd(dir), d->d_name, 0);
	closedir(dir);
}
