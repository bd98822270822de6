#include "lease.h"

#include "base/clock.h"

enum { WAIT_SECONDS = 1 }; /* when the server does not say */

int lease_init(struct lease *l, struct call *call, const char *round)
{
	*l = (struct lease){.call = call, .round = round};
	call_path(call, "rounds", round, NULL);
	if (call_do(call, "GET", STR_NONE) < 0)
		return -1;
	l->lasts_us = (int64_t)(cli_number(call->answer, "lease_seconds", 1) * 1e6);
	return 0;
}

void lease_release(struct lease *l)
{
	buf_release(&l->id);
}

static void renew_later(struct lease *l)
{
	l->renew_at_us = clock_steady_us() + l->lasts_us / 2;
}

enum lease_taken lease_take(struct lease *l, struct str wish, int64_t *retry_s)
{
	int status;

	call_path(l->call, "rounds", l->round, "leases", NULL);
	status = call_try(l->call, "POST", wish);
	if (status == 204) {
		*retry_s = l->call->reply.retry_after_seconds > 0 ? l->call->reply.retry_after_seconds : WAIT_SECONDS;
		return LEASE_LATER;
	}
	if (status == 410)
		return LEASE_OVER;
	if (status != 200 || l->call->answer == NULL) {
		if (status >= 0)
			cli_problem(l->call->command, &l->call->reply, NULL);
		return LEASE_FAILED;
	}
	buf_clear(&l->id);
	buf_str(&l->id, cli_text(l->call->answer, "lease"));
	buf_byte(&l->id, '\0');
	renew_later(l);
	return LEASE_TAKEN;
}

int lease_keep(struct lease *l)
{
	int status;

	if (l->renew_at_us == 0 || clock_steady_us() < l->renew_at_us)
		return 0;
	call_path(l->call, "rounds", l->round, "leases", l->id.p, "renew", NULL);
	status = call_try(l->call, "POST", STR_NONE);
	l->renew_at_us = 0;
	if (status == 200)
		renew_later(l);
	else if (status >= 0 && status != 410)
		cli_problem(l->call->command, &l->call->reply, NULL);
	return status == 200 || status == 410 ? 0 : -1;
}

void lease_give_back(struct lease *l)
{
	if (l->id.n == 0)
		return;
	call_path(l->call, "rounds", l->round, "leases", l->id.p, NULL);
	call_try(l->call, "DELETE", STR_NONE);
	buf_clear(&l->id);
	l->renew_at_us = 0;
}
