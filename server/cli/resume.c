#include "resume.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_HASH_BYTES = 16 };

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

void resume_init(struct resume *r, const struct str *parts, size_t n)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	uint8_t hash[SHA256_BYTES];
	char hex[2 * NAME_HASH_BYTES + 1];
	struct sha256 h;
	int length = -1;

	sha256_init(&h);
	for (size_t i = 0; i < n; i++)
		sha256_field(&h, parts[i]);
	sha256_end(&h, hash);
	hex_of(hash, NAME_HASH_BYTES, hex);
	if (state && *state == '/')
		length = snprintf(r->path, sizeof r->path, "%s/prefd/import-%s", state, hex);
	else if (home && *home == '/')
		length = snprintf(r->path, sizeof r->path, "%s/.local/state/prefd/import-%s", home, hex);
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
	if (r->path[0])
		unlink(r->path);
}
