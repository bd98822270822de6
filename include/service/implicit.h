/* implicit.h - POST /v1/implicit-rewards: DICE's arithmetic, nothing stored.
 *
 * The document goes through libuv's pool: it may be as large as
 * document_bytes, and no thread that receives should be kept by it. */
#ifndef PREFD_SERVICE_IMPLICIT_H
#define PREFD_SERVICE_IMPLICIT_H

#include "base/buf.h"
#include "service/service.h"

/* What a document's numbers may be at most: β, lengths, and the size of a
 * log-probability; α has ALPHA_MAX. A group has at most JSON_MEMBERS_MAX
 * responses, as the answer names them in one object. */
#define IMPLICIT_NUMBER_MAX 1e15

/* Takes the memory of the body, which is empty afterwards. Any thread. */
void implicit_rewards(struct service *s, struct buf *body, struct pending *p);

#endif
