#include "body.h"

#include "base/heap.h"
#include "base/metric.h"
#include "request.h"
#include "words.h"

/* Beyond the limit of bodies, a refused one is read this much further. */
#define DISCARD_BYTES (UINT64_C(64) << 20)

/* --- the header's words ------------------------------------------------------------- */

static bool is_utf8(struct str charset)
{
	if (charset.n >= 2 && charset.p[0] == '"' && charset.p[charset.n - 1] == '"')
		charset = (struct str){charset.p + 1, charset.n - 2};
	return same_word(charset, "utf-8") || same_word(charset, "utf8") || same_word(charset, "us-ascii");
}

static int check_charset(struct str parameters, struct err *e)
{
	while (parameters.n > 0) {
		struct str value = str_cut(&parameters, ';');
		struct str name = str_cut(&value, '=');

		if (same_word(name, "charset") && !is_utf8(str_trim(value)))
			return err_set(e, P_MEDIA_TYPE, "JSON is taken in UTF-8 only");
	}
	return 0;
}

int media_type(struct str header, enum body_kind body, enum split_kind *split, struct err *e)
{
	const char *taken = body == BODY_ROWS ? "application/json or application/x-ndjson" : "application/json";
	struct str rest = header, type;

	if (header.p == NULL)
		return err_set(e, P_MEDIA_TYPE, "the body has no Content-Type; send Content-Type: %s", taken);
	type = str_cut(&rest, ';');
	if (same_word(type, "application/json"))
		*split = SPLIT_JSON;
	else if (body == BODY_ROWS && (same_word(type, "application/x-ndjson") || same_word(type, "application/ndjson") ||
	                               same_word(type, "application/jsonl")))
		*split = SPLIT_NDJSON;
	else
		return err_set(e, P_MEDIA_TYPE, "Content-Type %.*s is not taken here; send Content-Type: %s", STR_ARG(type),
		               taken);
	return check_charset(rest, e);
}

/* --- documents ------------------------------------------------------------------------ */

static int reserve(struct body *b, int64_t bytes, struct err *e)
{
	if (atomic_fetch_sub(b->budget, bytes) < bytes) {
		atomic_fetch_add(b->budget, bytes);
		return err_set(e, P_UNAVAILABLE, "the documents under way fill the memory set aside for them; try again");
	}
	b->reserved += bytes;
	return 0;
}

static int take_text(void *ctx, const char *p, size_t n, struct err *e)
{
	struct body *b = ctx;

	if (reserve(b, (int64_t)n, e) != 0)
		return -1;
	metric_add(M_BODY_BYTES, (int64_t)n);
	buf_add(&b->text, p, n);
	return 0;
}

/* --- rows -------------------------------------------------------------------------------- */

static int open_rows(struct request *r, enum coding coding, enum split_kind split, struct err *e)
{
	struct ingest_options o = {
		.dataset = r->param[0],
		.coding = coding,
		.split = split,
		.target = request_line(r),
	};

	if (r->route->rows(r, &o, e) != 0 || request_idempotency_key(r, &o.idempotency_key, e) != 0)
		return -1;
	return ingest_open(&r->body.ingest, r->h->service, &o, e);
}

/* --- the body's life ----------------------------------------------------------------------- */

uint64_t body_discard_bytes(const struct request *r)
{
	return (uint64_t)r->h->conf->body_bytes + DISCARD_BYTES;
}

int body_begin(struct request *r, struct err *e)
{
	enum coding coding = coding_of(request_header(r, "Content-Encoding"));
	struct str type = request_header(r, "Content-Type");
	enum split_kind split = SPLIT_NDJSON;
	struct body *b = &r->body;
	int64_t limit = r->route->body == BODY_ROWS ? r->h->conf->body_bytes : r->h->conf->document_bytes;

	if (r->route->body == BODY_NONE)
		return b->expected ? err_set(e, P_BAD_REQUEST, "this request takes no body") : 0;
	/* An empty body needs no type: it is an empty document, or no rows. */
	if ((b->expected || type.p) && media_type(type, r->route->body, &split, e) != 0)
		return -1;
	if (coding == CODING_UNKNOWN)
		return err_set(e, P_MEDIA_TYPE, "Content-Encoding is taken as gzip or zstd");
	if (b->declared != UINT64_MAX && b->declared > (uint64_t)limit)
		return err_set(e, P_TOO_LARGE, "a body here is at most %lld bytes", (long long)limit);
	if (waiting_full(&r->h->waiting))
		return err_set(e, P_UNAVAILABLE, "too many requests are waiting; try again");
	if (r->route->body == BODY_ROWS)
		return open_rows(r, coding, split, e);
	b->budget = &r->h->documents_left;
	if (b->expected)
		b->unzip = unzip_new(coding, (uint64_t)limit, take_text, b);
	return 0;
}

bool body_feed(struct request *r, const char *p, size_t n)
{
	struct body *b = &r->body;
	struct err e = {0};

	b->received += n;
	if (b->received > body_discard_bytes(r))
		return false;
	if (r->refused.problem != P_NONE)
		return true;
	if (b->ingest) {
		ingest_feed(b->ingest, p, n);
	} else if (unzip_feed(b->unzip, p, n, &e) != 0) {
		request_refuse(r, &e);
		body_release(b);
	}
	return true;
}

int body_end(struct request *r, struct err *e)
{
	int rc = r->body.unzip ? unzip_end(r->body.unzip, e) : 0;

	if (r->body.unzip)
		unzip_free(r->body.unzip);
	r->body.unzip = NULL;
	return rc;
}

void body_release(struct body *b)
{
	if (b->unzip)
		unzip_free(b->unzip);
	if (b->ingest)
		ingest_abort(b->ingest);
	buf_release(&b->text);
	if (b->reserved)
		atomic_fetch_add(b->budget, b->reserved);
	b->unzip = NULL;
	b->ingest = NULL;
	b->reserved = 0;
}
