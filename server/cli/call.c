#include "call.h"

#include <stdarg.h>

#include "base/clock.h"

enum { HEADER_BYTES = 64, KEY_RANDOM_BYTES = 12 };

void call_open(struct call *c, const char *command, const char *server)
{
	memset(c, 0, sizeof *c);
	c->command = command;
	c->fetch = cli_fetch(command);
	cli_server(&c->server, server);
	fetch_reply_init(&c->reply);
	arena_init(&c->arena);
}

void call_close(struct call *c)
{
	fetch_reply_release(&c->reply);
	fetch_free(c->fetch);
	buf_release(&c->server);
	buf_release(&c->url);
	arena_release(&c->arena);
}

void call_path(struct call *c, const char *segment, ...)
{
	va_list ap;

	buf_clear(&c->url);
	buf_str(&c->url, buf_view(&c->server));
	buf_lit(&c->url, "/v1");
	va_start(ap, segment);
	for (; segment; segment = va_arg(ap, const char *))
		cli_segment(&c->url, segment);
	va_end(ap);
}

/* Until there is an answer that stands. */
static int ask(struct call *c, const struct fetch_request *q)
{
	struct patience patience = {0};
	struct err e;

	for (;;) {
		int rc = fetch_do(c->fetch, q, &c->reply, &e);
		const struct fetch_reply *reply = rc == 0 ? &c->reply : NULL;

		if (rc == 0 && !cli_may_retry(reply, NULL))
			return 0;
		if ((rc == 0 || (c->stubborn && cli_may_retry(NULL, &e))) && cli_wait(&patience, reply))
			continue;
		if (rc < 0)
			cli_complain(c->command, "%s", e.detail);
		return rc;
	}
}

/* What is no JSON is no answer of prefd's. */
static int read_answer(struct call *c)
{
	struct err e;

	c->answer = NULL;
	arena_reset(&c->arena);
	if (c->reply.status / 100 != 2 || c->reply.body.n == 0)
		return 0;
	c->answer = json_parse(&c->arena, buf_view(&c->reply.body), JSON_DEPTH_MAX, &e);
	if (c->answer && json_type(c->answer) == JSON_OBJECT)
		return 0;
	cli_complain(c->command, "the server answered %d, and not as prefd does", c->reply.status);
	return -1;
}

int call_try(struct call *c, const char *method, struct str body)
{
	char key[HEADER_BYTES] = "Idempotency-Key: prefd-";
	const char *headers[] = {"Content-Type: application/json", key, NULL};
	struct fetch_request q = {.method = method, .headers = headers, .body = body};

	if (strcmp(method, "POST") == 0)
		random_hex(key + strlen(key), KEY_RANDOM_BYTES);
	else
		headers[1] = NULL;
	if (body.p == NULL)
		q.headers = headers[1] ? headers + 1 : NULL;
	buf_byte(&c->url, '\0');
	c->url.n--;
	q.url = c->url.p;
	if (ask(c, &q) < 0 || read_answer(c) < 0)
		return -1;
	return c->reply.status;
}

int call_do(struct call *c, const char *method, struct str body)
{
	int status = call_try(c, method, body);

	if (status >= 0 && status / 100 != 2)
		cli_problem(c->command, &c->reply, NULL);
	return status / 100 == 2 ? 0 : -1;
}
