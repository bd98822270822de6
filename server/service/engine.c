#include "engine.h"

#include <stdio.h>
#include <strings.h>

#include "align/implicit.h"
#include "base/json.h"

#define LOGPROB_MASKED -9999.0

enum { ANSWER_BYTES_FIXED = 64 * 1024, ANSWER_BYTES_PER_TOKEN = 1024, ANSWER_BYTES_MAX = 64 << 20 };

const char *const engine_kind_words[ENGINE_KINDS] = {[ENGINE_VLLM] = "vllm", [ENGINE_SGLANG] = "sglang"};

const char *score_failure_word(enum score_failure f)
{
	static const char *const words[] = {
#define X(name, word) word,
		SCORE_FAILURES(X)
#undef X
	};

	return words[f];
}

/* --- engines ------------------------------------------------------------------------- */

static bool host_listed(const char *hosts, struct str host)
{
	while (*hosts) {
		size_t n = strcspn(hosts, " ");

		if (n == host.n && strncasecmp(hosts, host.p, n) == 0)
			return true;
		hosts += n;
		hosts += strspn(hosts, " ");
	}
	return false;
}

int engine_url_check(const char *hosts, struct str url, struct str *kept, struct err *e)
{
	struct buf host = BUF_INIT;
	int rc = url_read(url, &host, e);

	if (rc == 0 && !host_listed(hosts, buf_view(&host)))
		rc = err_set(e, P_INVALID, "%.*s is not among the hosts that engines may have (the setting engine_hosts)",
		             STR_ARG(buf_view(&host)));
	buf_release(&host);
	while (rc == 0 && url.n > 0 && url.p[url.n - 1] == '/')
		url.n--;
	*kept = url;
	return rc;
}

/* --- asking ---------------------------------------------------------------------------- */

/* Appends to ids; false when they are none. They were checked when they came. */
static bool add_ids(struct arena *a, struct str text, struct buf *ids)
{
	struct err e = {0};
	const struct json *v = text.p ? json_parse(a, text, JSON_DEPTH_MAX, &e) : NULL;

	if (v == NULL || json_type(v) != JSON_ARRAY || json_size(v) == 0)
		return false;
	for (const struct json *m = json_first(v); m; m = json_next(m)) {
		int32_t id = (int32_t)json_number(m);

		buf_add(ids, &id, sizeof id);
	}
	return true;
}

enum score_failure engine_ids_read(struct arena *a, struct str prompt, struct str response, struct engine_ids *out)
{
	enum score_failure failed = FAILED_NONE;
	struct arena parsed = {0};
	struct buf ids = BUF_INIT;

	*out = (struct engine_ids){0};
	if (!add_ids(&parsed, prompt, &ids))
		failed = FAILED_MISSING_TOKEN_IDS;
	out->prompt = ids.n / sizeof *out->id;
	if (failed == FAILED_NONE && !add_ids(&parsed, response, &ids))
		failed = FAILED_MISSING_TOKEN_IDS;
	out->n = ids.n / sizeof *out->id;
	if (failed == FAILED_NONE && out->n > ENGINE_TOKENS_MAX)
		failed = FAILED_TOO_MANY_TOKENS;
	if (failed == FAILED_NONE) {
		out->id = arena_alloc(a, ids.n);
		memcpy(out->id, ids.p, ids.n);
	}
	buf_release(&ids);
	arena_release(&parsed);
	return failed;
}

enum engine_form engine_form_of(enum engine_kind kind)
{
	return kind == ENGINE_SGLANG ? FORM_SGLANG : FORM_VLLM;
}

const char *engine_path(enum engine_form form)
{
	return form == FORM_SGLANG ? "/generate" : "/v1/completions";
}

static void put_ids(struct buf *b, const struct engine_ids *ids)
{
	buf_byte(b, '[');
	for (size_t i = 0; i < ids->n; i++)
		buf_printf(b, i ? ",%d" : "%d", ids->id[i]);
	buf_byte(b, ']');
}

void engine_ask(struct buf *b, enum engine_form form, struct str model, const struct engine_ids *ids)
{
	if (form == FORM_SGLANG) {
		buf_lit(b, "{\"input_ids\":[");
		put_ids(b, ids);
		/* The first that comes is always null: one before the response. */
		buf_printf(b, "],\"sampling_params\":{\"max_new_tokens\":1,\"temperature\":0},"
		              "\"return_logprob\":true,\"logprob_start_len\":%zu}", ids->prompt - 1);
		return;
	}
	buf_lit(b, "{\"model\":");
	json_put_string(b, model);
	buf_lit(b, ",\"prompt\":");
	put_ids(b, ids);
	if (form == FORM_VLLM)
		buf_lit(b, ",\"max_tokens\":1,\"temperature\":0,\"prompt_logprobs\":0}");
	else
		buf_lit(b, ",\"max_tokens\":0,\"temperature\":0,\"echo\":true,\"logprobs\":1}");
}

size_t engine_answer_bytes(const struct engine_ids *ids)
{
	size_t n = ANSWER_BYTES_FIXED + ids->n * ANSWER_BYTES_PER_TOKEN;

	return n < ANSWER_BYTES_MAX ? n : ANSWER_BYTES_MAX;
}

/* --- what an answer calls for ------------------------------------------------------------ */

static enum engine_next retry(int tries, enum score_failure as, enum score_failure *why)
{
	*why = as;
	return tries < ENGINE_TRIES_MAX ? NEXT_RETRY : NEXT_FAIL;
}

static enum engine_next judge_status(int status, enum engine_form form, int tries, enum score_failure *why)
{
	if (status >= 200 && status <= 299)
		return NEXT_READ;
	if (status == 429)
		return retry(tries, FAILED_TOO_MANY_REQUESTS, why);
	if (status >= 500)
		return retry(tries, FAILED_ENGINE_ERROR, why);
	if (form == FORM_VLLM && (status == 400 || status == 404 || status == 422))
		return NEXT_ECHO;
	*why = status >= 300 && status <= 399 ? FAILED_REDIRECTED : FAILED_ENGINE_REFUSED;
	return NEXT_FAIL;
}

enum engine_next engine_judge(const struct fetch_answer *a, enum engine_form form, int tries,
                              enum score_failure *why)
{
	*why = FAILED_NONE;
	switch (a->end) {
	case FETCH_ANSWERED:
		return judge_status(a->status, form, tries, why);
	case FETCH_TIMED_OUT:
		return retry(tries, FAILED_TIMEOUT, why);
	case FETCH_TOO_LARGE:
		*why = FAILED_ANSWER_TOO_LARGE;
		return NEXT_FAIL;
	case FETCH_CUT:
		*why = FAILED_NO_ANSWER;
		return NEXT_FAIL;
	default:
		*why = FAILED_UNREACHABLE;
		return NEXT_FAIL;
	}
}

int64_t engine_wait_ms(int tries, int64_t retry_after_seconds)
{
	int64_t wait = (int64_t)ENGINE_WAIT_MS << (tries - 1);

	if (retry_after_seconds > ENGINE_WAIT_SECONDS_MAX)
		retry_after_seconds = ENGINE_WAIT_SECONDS_MAX;
	return retry_after_seconds * 1000 > wait ? retry_after_seconds * 1000 : wait;
}

/* --- reading ------------------------------------------------------------------------------ */

static enum score_failure add_logprob(const struct json *v, double *sum)
{
	double x;

	if (v && json_type(v) == JSON_NULL)
		return FAILED_NULL_LOGPROB;
	if (v == NULL || json_type(v) != JSON_NUMBER)
		return FAILED_WRONG_FORM;
	x = json_number(v);
	if (x <= LOGPROB_MASKED)
		return FAILED_MASKED_LOGPROB;
	if (x > LOGPROB_MAX)
		return FAILED_POSITIVE_LOGPROB;
	*sum += x;
	return FAILED_NONE;
}

/* An array as long as it must be. */
static enum score_failure check_list(const struct json *v, size_t n)
{
	if (v == NULL || json_type(v) != JSON_ARRAY)
		return FAILED_WRONG_FORM;
	return json_size(v) == n ? FAILED_NONE : FAILED_LENGTH_MISMATCH;
}

/* {"<id>": {"logprob": x, …}, …}: the id that was asked, whatever else is there. */
static enum score_failure own_entry(const struct json *v, int32_t id, const struct json **logprob)
{
	const struct json *own;
	char key[16];

	if (json_type(v) == JSON_NULL)
		return FAILED_NULL_LOGPROB;
	if (json_type(v) != JSON_OBJECT)
		return FAILED_WRONG_FORM;
	snprintf(key, sizeof key, "%d", id);
	own = json_get(v, key);
	if (own == NULL)
		return FAILED_TOKEN_ID_MISMATCH;
	if (json_type(own) == JSON_NULL)
		return FAILED_NULL_LOGPROB;
	if (json_type(own) != JSON_OBJECT)
		return FAILED_WRONG_FORM;
	*logprob = json_get(own, "logprob");
	return FAILED_NONE;
}

static enum score_failure read_vllm(const struct json *list, const struct engine_ids *ids, double *sum)
{
	enum score_failure failed = check_list(list, ids->n);
	const struct json *m = failed == FAILED_NONE ? json_first(list) : NULL;

	for (size_t i = 0; failed == FAILED_NONE && m; i++, m = json_next(m)) {
		const struct json *logprob = NULL;

		/* Nothing comes before the first token; the prompt's own values do not count. */
		if (i == 0 || (i < ids->prompt && json_type(m) == JSON_NULL))
			continue;
		failed = own_entry(m, ids->id[i], &logprob);
		if (failed == FAILED_NONE && i >= ids->prompt)
			failed = add_logprob(logprob, sum);
	}
	return failed;
}

static enum score_failure read_echo(const struct json *logprobs, const struct engine_ids *ids, double *sum)
{
	const struct json *list = logprobs ? json_get(logprobs, "token_logprobs") : NULL, *m;
	enum score_failure failed = check_list(list, ids->n);
	size_t i = 0;

	if (failed != FAILED_NONE)
		return failed;
	for (m = json_first(list); failed == FAILED_NONE && m; i++, m = json_next(m))
		if (i >= ids->prompt)
			failed = add_logprob(m, sum);
	return failed;
}

/* [logprob | null, id, text | null] */
static enum score_failure read_triple(const struct json *v, int32_t id, const struct json **logprob)
{
	const struct json *own;

	if (json_type(v) != JSON_ARRAY || json_size(v) < 2)
		return FAILED_WRONG_FORM;
	*logprob = json_first(v);
	own = json_next(*logprob);
	if (json_type(own) != JSON_NUMBER)
		return FAILED_WRONG_FORM;
	return json_number(own) == id ? FAILED_NONE : FAILED_TOKEN_ID_MISMATCH;
}

static enum score_failure read_sglang(const struct json *list, const struct engine_ids *ids, double *sum)
{
	size_t first = ids->prompt - 1, i = first;
	enum score_failure failed = check_list(list, ids->n - first);
	const struct json *m = failed == FAILED_NONE ? json_first(list) : NULL;

	for (; failed == FAILED_NONE && m; i++, m = json_next(m)) {
		const struct json *logprob;

		failed = read_triple(m, ids->id[i], &logprob);
		if (failed == FAILED_NONE && i > first)
			failed = add_logprob(logprob, sum);
	}
	return failed;
}

/* The one element of an array, or NULL. */
static const struct json *only(const struct json *v)
{
	return v && json_type(v) == JSON_ARRAY && json_size(v) == 1 ? json_first(v) : NULL;
}

static const struct json *member(const struct json *v, const char *key)
{
	return v && json_type(v) == JSON_OBJECT ? json_get(v, key) : NULL;
}

static enum score_failure read_form(enum engine_form form, const struct json *v, const struct engine_ids *ids,
                                    double *sum)
{
	const struct json *choice;

	if (form == FORM_SGLANG) {
		/* A batch of one comes as a list, or as its one element. */
		const struct json *one = json_type(v) == JSON_ARRAY ? only(v) : v;

		return read_sglang(member(member(one, "meta_info"), "input_token_logprobs"), ids, sum);
	}
	choice = only(member(v, "choices"));
	if (form == FORM_VLLM)
		return read_vllm(member(choice, "prompt_logprobs"), ids, sum);
	choice = member(choice, "logprobs");
	return choice && json_type(choice) == JSON_OBJECT ? read_echo(choice, ids, sum) : FAILED_WRONG_FORM;
}

enum score_failure engine_read(struct arena *a, enum engine_form form, struct str body,
                               const struct engine_ids *ids, double *logprob)
{
	struct err e = {0};
	const struct json *v = json_parse(a, body, JSON_DEPTH_MAX, &e);
	enum score_failure failed;

	*logprob = 0;
	if (v == NULL)
		return FAILED_BROKEN_JSON;
	failed = read_form(form, v, ids, logprob);
	if (failed == FAILED_NONE && *logprob > LOGPROB_MAX)
		failed = FAILED_POSITIVE_LOGPROB;
	if (failed != FAILED_NONE || *logprob > 0)
		*logprob = 0;
	return failed;
}
