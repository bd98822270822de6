/* serve.c - minibatches: an order, an offset, a gather of pieces. */
#include "align/order.h"
#include "base/hash.h"
#include "base/metric.h"
#include "inside.h"
#include "service/snapshots.h"
#include "show.h"

enum {
	RETRY_BUILDING_S = 1,
	RETRY_DAMAGED_S = 5,
	WORLD_SIZE_MAX = 1 << 24,
	ETAG_BYTES = 16, /* of the hash */
	FRAME_BYTES = 512,
};

struct batch {
	struct service *service;
	const struct batch_query *q;
	struct show show;
	struct share share;
	char etag[2 * ETAG_BYTES + 3]; /* with its quotes */
};

/* --- the query ----------------------------------------------------------------------------- */

static int check_query(const struct service *s, const struct batch_query *q, struct err *e)
{
	long long most = (long long)s->conf->batch_size;

	if (q->batch_size < 1 || q->batch_size > most)
		return err_at(e, P_INVALID, "?batch_size", "must be from 1 to %lld", most);
	if (q->world_size < 1 || q->world_size > WORLD_SIZE_MAX)
		return err_at(e, P_INVALID, "?world_size", "must be from 1 to %d", WORLD_SIZE_MAX);
	if (q->rank >= q->world_size)
		return err_at(e, P_INVALID, "?rank", "must be below world_size");
	return 0;
}

static enum tail tail_of(const struct batch_query *q)
{
	switch (q->tail) {
	case BATCH_TAIL_SHORT:
		return TAIL_SHORT;
	case BATCH_TAIL_DROP:
		return TAIL_DROP;
	case BATCH_TAIL_PAD:
		return TAIL_PAD;
	case BATCH_TAIL_DEFAULT:
		break;
	}
	return q->world_size == 1 ? TAIL_SHORT : TAIL_DROP;
}

/* --- headers --------------------------------------------------------------------------------- */

/* Stands for the bytes of the answer: everything that they depend on. */
static void make_etag(struct batch *b)
{
	const struct batch_query *q = b->q;
	const struct opened *o = b->show.opened;
	const struct view *v = &b->show.view;
	const uint64_t numbers[] = {
		q->seed, q->epoch, q->offset, q->batch_size, q->rank, q->world_size, tail_of(q), q->shuffle,
		q->ndjson, q->coding, v->augment, v->placement, v->format,
	};
	uint8_t hash[SHA256_BYTES];
	struct sha256 h;

	sha256_init(&h);
	sha256_field(&h, STR("prefd-etag-1"));
	sha256_field(&h, o->row.id);
	sha256_field(&h, o->row.revision);
	sha256_field(&h, o->recipe.template);
	sha256_add(&h, numbers, sizeof numbers);
	sha256_end(&h, hash);
	b->etag[0] = '"';
	hex_of(hash, ETAG_BYTES, b->etag + 1);
	strcpy(b->etag + 1 + 2 * ETAG_BYTES, "\"");
}

/* If-None-Match compares weakly: W/ in front makes no difference. */
static bool matches(struct str header, const char *etag)
{
	size_t i = 0, n = strlen(etag);

	while (i < header.n) {
		size_t from;

		while (i < header.n && (header.p[i] == ' ' || header.p[i] == '\t' || header.p[i] == ','))
			i++;
		if (i < header.n && header.p[i] == '*')
			return true;
		if (header.n - i > 2 && memcmp(header.p + i, "W/", 2) == 0)
			i += 2;
		from = i;
		if (i < header.n && header.p[i] == '"')
			for (i++; i < header.n && header.p[i] != '"'; i++)
				;
		while (i < header.n && header.p[i] != ',')
			i++;
		if (i - from >= n && memcmp(header.p + from, etag, n) == 0)
			return true;
	}
	return false;
}

static void put_headers(const struct batch *b, struct answer *out)
{
	answer_header(out, "ETag", "%s", b->etag);
	answer_header(out, "X-Revision", "%.*s", STR_ARG(b->show.opened->row.revision));
	answer_header(out, "Prefd-Next-Offset", "%llu", (unsigned long long)b->share.next_offset);
	answer_header(out, "Prefd-Epoch-Size", "%llu", (unsigned long long)b->show.examples);
	answer_header(out, "Cache-Control", "%s, max-age=31536000, immutable", b->q->for_one ? "private" : "public");
	if (b->q->coding != CODING_IDENTITY)
		answer_header(out, "Content-Encoding", "%s", coding_name(b->q->coding));
}

/* --- the body --------------------------------------------------------------------------------- */

static void put_front(const struct batch *b, struct buf *body)
{
	const struct batch_query *q = b->q;
	const struct opened *o = b->show.opened;
	typedef unsigned long long ull;

	buf_lit(body, "{\"snapshot\":");
	json_put_string(body, o->row.id);
	buf_lit(body, ",\"revision\":");
	json_put_string(body, o->row.revision);
	buf_printf(body, ",\"seed\":%llu,\"epoch\":%llu,\"offset\":%llu,\"next_offset\":%llu,\"epoch_size\":%llu,\"examples\":[",
	           (ull)q->seed, (ull)q->epoch, (ull)q->offset, (ull)b->share.next_offset, (ull)b->show.examples);
}

static int too_large(const struct service *s, uint32_t batch_size, struct err *e)
{
	return err_at(e, P_TOO_LARGE, "?batch_size",
	              "these %u examples take more than the %lld bytes that a batch may have; ask for fewer at a time",
	              (unsigned)batch_size, (long long)s->conf->batch_bytes);
}

static int put_examples(struct batch *b, struct buf *body, struct err *e)
{
	const struct batch_query *q = b->q;
	size_t most = (size_t)b->service->conf->batch_bytes;
	struct order order;

	order_init(&order, b->show.opened->row.revision, str_of(augment_words[b->show.view.augment]), q->seed, q->epoch,
	           b->show.examples, q->shuffle);
	for (uint64_t i = 0, n; i < b->share.count; i += n) {
		uint64_t example[VIEW_AT_ONCE];

		for (n = 0; n < VIEW_AT_ONCE && i + n < b->share.count; n++)
			example[n] = share_position(&b->share, i + n);
		order_run(&order, example, n);
		if (show_put(&b->show, b->service, example, n, q->ndjson ? '\n' : ',', body, e) < 0)
			return -1;
		if (body->n > most)
			return too_large(b->service, q->batch_size, e);
	}
	if (b->share.count > 0 && !q->ndjson)
		body->n--; /* the comma behind the last */
	return 0;
}

static void pack(enum coding coding, struct buf *body)
{
	struct buf packed = BUF_INIT;

	if (coding == CODING_IDENTITY)
		return;
	zip_whole(coding, buf_view(body), &packed);
	buf_release(body);
	*body = packed;
}

static int put_body(struct batch *b, struct answer *out, struct err *e)
{
	size_t most = (size_t)b->service->conf->batch_bytes;
	size_t expected = FRAME_BYTES + show_bytes(&b->show, b->share.count);

	buf_room(&out->body, expected < most ? expected : most);
	if (!b->q->ndjson)
		put_front(b, &out->body);
	if (put_examples(b, &out->body, e) < 0)
		return -1;
	if (!b->q->ndjson)
		buf_lit(&out->body, "]}");
	metric_add(M_BATCHES, 1);
	metric_add(M_EXAMPLES, (int64_t)b->share.count);
	metric_add(M_BATCH_BYTES, (int64_t)out->body.n);
	pack(b->q->coding, &out->body);
	out->type = b->q->ndjson ? "application/x-ndjson" : NULL;
	out->status = 200;
	put_headers(b, out);
	return 0;
}

/* --- the door ----------------------------------------------------------------------------------- */

static int end_of_epoch(const struct batch *b, struct answer *out)
{
	out->status = 204;
	answer_header(out, "X-Revision", "%.*s", STR_ARG(b->show.opened->row.revision));
	answer_header(out, "Prefd-Epoch-Size", "%llu", (unsigned long long)b->show.examples);
	return 0;
}

static int answer_batch(struct batch *b, struct answer *out, struct err *e)
{
	const struct batch_query *q = b->q;

	switch (share_of(&b->share, b->show.examples, q->offset, q->batch_size, q->rank, q->world_size, tail_of(q))) {
	case SHARE_BEYOND:
		return err_at(e, P_INVALID, "?offset", "the epoch has %llu examples", (unsigned long long)b->show.examples);
	case SHARE_END:
		return end_of_epoch(b, out);
	case SHARE_SERVED:
		break;
	}
	make_etag(b);
	if (q->if_none_match.p && matches(q->if_none_match, b->etag)) {
		out->status = 304;
		put_headers(b, out);
		return 0;
	}
	return put_body(b, out, e);
}

int snapshots_batch(struct service *s, const struct batch_query *q, struct answer *out, struct err *e)
{
	struct batch b = {.service = s, .q = q};
	int rc;

	if (check_query(s, q, e) < 0)
		return -1;
	rc = show_open(&b.show, s, q->snapshot, &q->view, VIEW_TRL_TEXT + 1, e);
	if (rc == 0) {
		rc = answer_batch(&b, out, e);
		show_close(&b.show);
	}
	if (rc < 0) {
		buf_clear(&out->body);
		out->retry_after_s = e->problem == P_BUILDING ? RETRY_BUILDING_S : e->problem == P_DAMAGED ? RETRY_DAMAGED_S : 0;
	}
	return rc;
}
