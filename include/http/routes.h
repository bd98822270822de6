/* routes.h - the table of routes, for `prefd routes` and the tests. */
#ifndef PREFD_HTTP_ROUTES_H
#define PREFD_HTTP_ROUTES_H

/* One line a route on standard output: `METHOD pattern scope`. */
void routes_print(void);

#endif
