/* folder_kit.h - a folder of the test's own goes, with what is in it. */
#ifndef FOLDER_KIT_H
#define FOLDER_KIT_H

#include <ftw.h>
#include <stdio.h>

static inline int folder_remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
	(void)st;
	(void)kind;
	(void)where;
	return remove(path);
}

/* 0, or something is left. */
static inline int folder_remove(const char *dir)
{
	return nftw(dir, folder_remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

#endif
