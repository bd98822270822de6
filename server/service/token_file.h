/* token_file.h - tokens.json, read and written. */
#ifndef PREFD_SERVICE_TOKEN_FILE_H
#define PREFD_SERVICE_TOKEN_FILE_H

#include "base/file.h"
#include "service/tokens.h"

enum { TOKEN_PATH_BYTES = 4096 };

/* dir/name */
int token_path(char out[TOKEN_PATH_BYTES], const char *dir, const char *name, struct err *e);
/* What stands there, living in the arena; there is no file: none, and a mark
 * of zeros. P_INTERNAL when it cannot be read or is not what prefd wrote. */
int token_file_read(const char *path, struct arena *a, struct token **token, size_t *n, struct file_mark *mark,
                    struct err *e);
int token_file_write(const char *path, const struct token *token, size_t n, struct err *e);
/* The members that GET /v1/tokens and the file share, without braces. */
void token_print_members(struct buf *b, const struct token *t);

#endif
