/* auth.h - whose request it is, and whether it may. Connection's thread. */
#ifndef PREFD_HTTP_AUTH_H
#define PREFD_HTTP_AUTH_H

#include "request.h"

/* After the route is known and before anything of the request is used. Fills
 * in r->access, which lasts as long as the request.
 *   401  no token, an unknown one, an expired one
 *   403  a scope is missing; or, while no token exists, the Host or Origin is
 *        another machine's: a web page elsewhere, or a name rebound to us
 *   404  the dataset, snapshot or round is not this token's: the same words as
 *        for one that does not exist
 *   429  the token has asked for more than it may in a second (rates.h)
 *   503  the file of tokens cannot be read */
int auth_enter(struct request *r, struct err *e);

/* "localhost", "127.0.0.1:8420", "[::1]", …; pure. */
bool host_is_loopback(struct str host);

#endif
