#include "base/clock.h"
#include "base/json.h"
#include "handlers.h"
#include "service/tokens.h"

static const char *folder(const struct request *r)
{
	return service_conf(r->h->service)->data;
}

const struct reply *h_tokens_list(struct request *r)
{
	struct token *token;
	struct err e = {0};
	struct answer a;
	size_t n;

	answer_init(&a);
	if (tokens_list(folder(r), &r->arena, &token, &n, &e) < 0)
		return reply_problem(r, &e);
	buf_lit(&a.body, "{\"tokens\":[");
	for (size_t i = 0; i < n; i++) {
		json_put_comma(&a.body);
		token_print(&a.body, &token[i]);
	}
	buf_lit(&a.body, "]}");
	a.status = 200;
	return reply_answer(r, &a);
}

/* --- created -------------------------------------------------------------------------------- */

/* With the first token the doors close: it must open them all. */
static int check_first(struct request *r, const struct token_wish *w, struct err *e)
{
	if (tokens_closed(service_tokens(r->h->service)))
		return 0;
	if (!(w->scopes & 1u << SCOPE_ADMIN) || w->datasets.limited)
		return err_set(e, P_INVALID, "the first token must have the scope admin and all datasets: "
		                             "with it the daemon closes to all who have none");
	return 0;
}

static int read_wish(struct request *r, struct token_wish *w, struct err *e)
{
	if (request_header(r, "Idempotency-Key").p)
		return err_set(e, P_INVALID, "answers with a token are not kept, so an Idempotency-Key cannot be taken");
	if (token_read_wish(&r->arena, buf_view(&r->body.text), clock_now_us(), w, e) < 0)
		return -1;
	return check_first(r, w, e);
}

const struct reply *h_token_create(struct request *r)
{
	char secret[TOKEN_TEXT_BYTES];
	struct token_wish wish;
	struct token made;
	struct err e = {0};
	struct answer a;

	answer_init(&a);
	if (read_wish(r, &wish, &e) < 0 || tokens_create(folder(r), &wish, &r->arena, &made, secret, &e) < 0)
		return reply_problem(r, &e);
	a.status = 201;
	r->about = made.id;
	answer_header(&a, "Location", "/v1/tokens/%.*s", STR_ARG(made.id));
	token_print(&a.body, &made);
	a.body.n--; /* the brace: the secret goes in front of it, this once */
	buf_printf(&a.body, ",\"token\":\"%s\"}", secret);
	return reply_answer(r, &a);
}

/* --- revoked -------------------------------------------------------------------------------- */

const struct reply *h_token_revoke(struct request *r)
{
	struct token was;
	struct err e = {0};
	struct answer a;

	answer_init(&a);
	if (tokens_revoke(folder(r), r->param[0], &r->arena, &was, &e) < 0)
		return reply_problem(r, &e);
	a.status = 204;
	r->about = was.id;
	return reply_answer(r, &a);
}
