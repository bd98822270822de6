/* Serving: batches, exports and the viewer's shapes. */
#include "service_kit.h"

/* --- batches ------------------------------------------------------------------------------------------ */

static int lines_of(const struct answer *a)
{
	int n = 0;

	for (size_t i = 0; i < a->body.n; i++)
		n += a->body.p[i] == '\n';
	return n;
}

static void batches(void **state)
{
	struct batch_query q = query("s");
	struct answer a, b;
	char revision[65];

	(void)state;
	post_prompts("d", 5); /* 10 examples */
	make("s", "{}");
	revision_of("s", revision);
	assert_int_equal(ask(&q, &a), P_NONE);
	assert_int_equal(a.status, 200);
	assert_null(a.type);
	assert_string_equal(header(&a, "X-Revision"), revision);
	assert_string_equal(header(&a, "Prefd-Next-Offset"), "4");
	assert_string_equal(header(&a, "Prefd-Epoch-Size"), "10");
	assert_string_equal(header(&a, "Cache-Control"), "public, max-age=31536000, immutable");
	assert_true(has(&a, "{\"snapshot\":\"s\",\"revision\":\""));
	assert_true(has(&a, "\",\"seed\":0,\"epoch\":0,\"offset\":0,\"next_offset\":4,\"epoch_size\":10,\"examples\":[{\"pair\":\""));
	assert_int_equal(ask(&q, &b), P_NONE); /* asking twice gives the same bytes */
	assert_int_equal(a.body.n, b.body.n);
	assert_memory_equal(a.body.p, b.body.p, a.body.n);
	answer_release(&a);
	answer_release(&b);
	q.offset = 8;
	q.ndjson = true;
	assert_int_equal(ask(&q, &a), P_NONE);
	assert_string_equal(a.type, "application/x-ndjson");
	assert_int_equal(lines_of(&a), 2);
	answer_release(&a);
	q.tail = BATCH_TAIL_PAD;
	assert_int_equal(ask(&q, &a), P_NONE);
	assert_int_equal(lines_of(&a), 4);
	assert_string_equal(header(&a, "Prefd-Next-Offset"), "10");
	answer_release(&a);
	q.tail = BATCH_TAIL_DROP;
	assert_int_equal(ask(&q, &a), P_NONE);
	assert_int_equal(a.status, 204);
	assert_int_equal(a.body.n, 0);
	answer_release(&a);
}

static void wrong_batches(void **state)
{
	struct batch_query q = query("s");
	struct answer a;

	(void)state;
	post_prompts("d", 5);
	make("s", "{}");
	q.offset = 10;
	assert_int_equal(ask(&q, &a), P_NONE);
	assert_int_equal(a.status, 204);
	answer_release(&a);
	q.offset = 11;
	refused(&q, P_INVALID, "?offset");
	q = query("s");
	q.batch_size = 4097;
	refused(&q, P_INVALID, "?batch_size");
	q = query("s");
	q.rank = 1;
	refused(&q, P_INVALID, "?rank");
	q = query("s");
	q.view.format = STR("openrlhf"); /* for export only */
	refused(&q, P_INVALID, "?format");
	q = query("t");
	refused(&q, P_UNKNOWN_SNAPSHOT, "");
	conf.batch_bytes = 600;
	q = query("s");
	refused(&q, P_TOO_LARGE, "?batch_size");
}

static void etags(void **state)
{
	struct batch_query q = query("s"), other;
	char etag[80], list[200];
	struct answer a;

	(void)state;
	post_prompts("d", 5);
	make("s", "{}");
	assert_int_equal(ask(&q, &a), P_NONE);
	snprintf(etag, sizeof etag, "%s", header(&a, "ETag"));
	assert_true(etag[0] == '"' && etag[strlen(etag) - 1] == '"');
	answer_release(&a);
	for (int i = 0; i < 4; i++) {
		snprintf(list, sizeof list, i == 0 ? "%s" : i == 1 ? "W/%s" : i == 2 ? "\"a,b\" , %s" : "*", etag);
		q.if_none_match = str_of(list);
		assert_int_equal(ask(&q, &a), P_NONE);
		assert_int_equal(a.status, 304);
		assert_int_equal(a.body.n, 0);
		assert_string_equal(header(&a, "ETag"), etag);
		answer_release(&a);
	}
	q.if_none_match = STR("\"abc\"");
	for (int i = 0; i < 6; i++) {
		other = q;
		other.if_none_match = str_of(etag);
		switch (i) {
		case 0: other.seed = 1; break;
		case 1: other.view.augment = STR("none"); break;
		case 2: other.view.placement = STR("user"); break;
		case 3: other.ndjson = true; break;
		case 4: other.coding = CODING_ZSTD; break;
		case 5: other = q; break; /* another tag */
		}
		assert_int_equal(ask(&other, &a), P_NONE);
		assert_int_equal(a.status, 200);
		answer_release(&a);
	}
}

static int unpacked(void *ctx, const char *p, size_t n, struct err *e)
{
	(void)e;
	buf_add(ctx, p, n);
	return 0;
}

static void packed_batches(void **state)
{
	struct batch_query q = query("s");
	struct buf raw = BUF_INIT;
	struct answer plain, packed;
	struct unzip *u;
	struct err e;

	(void)state;
	post_prompts("d", 5);
	make("s", "{}");
	assert_int_equal(ask(&q, &plain), P_NONE);
	q.coding = CODING_GZIP;
	assert_int_equal(ask(&q, &packed), P_NONE);
	assert_string_equal(header(&packed, "Content-Encoding"), "gzip");
	u = unzip_new(CODING_GZIP, 1 << 20, unpacked, &raw);
	assert_int_equal(unzip_feed(u, packed.body.p, packed.body.n, &e), 0);
	assert_int_equal(unzip_end(u, &e), 0);
	unzip_free(u);
	assert_int_equal(raw.n, plain.body.n);
	assert_memory_equal(raw.p, plain.body.p, raw.n);
	buf_release(&raw);
	answer_release(&plain);
	answer_release(&packed);
}

/* Every example of an epoch comes once, whatever the ranks. */
static void an_epoch_holds_every_example_once(void **state)
{
	struct buf seen = BUF_INIT;
	int n = 0;

	(void)state;
	post_prompts("d", 20);
	make("s", "{\"view\":{\"augment\":\"none\"}}");
	for (uint64_t offset = 0; offset < 20; offset += 6)
		for (uint64_t rank = 0; rank < 2; rank++) {
			struct batch_query q = {.snapshot = STR("s"), .batch_size = 3, .world_size = 2, .rank = rank, .offset = offset,
			                        .seed = 7, .shuffle = true, .ndjson = true, .tail = BATCH_TAIL_SHORT};
			struct answer a;

			assert_int_equal(ask(&q, &a), P_NONE);
			buf_str(&seen, buf_view(&a.body));
			n += lines_of(&a);
			answer_release(&a);
		}
	assert_int_equal(n, 20);
	for (int i = 0; i < 20; i++) {
		char id[40];

		snprintf(id, sizeof id, "\"prompt_id\":\"p%d\"", i);
		assert_non_null(memmem(seen.p, seen.n, id, strlen(id)));
	}
	buf_release(&seen);
}

static void exported_in_stored_order(void **state)
{
	struct view_query view = {.augment = STR("none"), .format = STR("openrlhf")};
	struct buf all = BUF_INIT;
	struct answer head;
	struct export *x;
	struct err e = {0};
	int rc, lines = 0;

	(void)state;
	post_prompts("d", 300);
	make("s", "{}");
	answer_init(&head);
	assert_int_equal(snapshots_export(service, STR("s"), &view, &x, &head, &e), 0);
	while ((rc = export_next(x, &all, &e)) == 1)
		;
	assert_int_equal(rc, 0);
	export_close(x);
	answer_release(&head);
	for (size_t i = 0; i < all.n; i++)
		lines += all.p[i] == '\n';
	assert_int_equal(lines, 300);
	assert_non_null(memmem(all.p, 200, "question 0", 10)); /* p0 is the smallest id */
	buf_release(&all);
	view.format = STR("csv");
	assert_int_equal(snapshots_export(service, STR("s"), &view, &x, &head, &e), -1);
	assert_string_equal(e.pointer, "?format");
}

static void viewer_shapes(void **state)
{
	static const struct view_query own;
	struct answer a;
	struct err e = {0};

	(void)state;
	post_prompts("d", 3);
	make("s", "{}");
	answer_init(&a);
	assert_int_equal(snapshots_rows(service, STR("s"), &own, 5, 10, &a, &e), 0);
	assert_true(has(&a, "{\"features\":[{\"feature_idx\":0,\"name\":\"pair\",\"type\":{\"dtype\":\"string\",\"_type\":\"Value\"}},"));
	assert_true(has(&a, "\"rows\":[{\"row_idx\":5,\"row\":{\"pair\":"));
	assert_true(has(&a, ",\"truncated_cells\":[]}],\"num_rows_total\":6,\"num_rows_per_page\":100,\"partial\":false}"));
	assert_int_equal(snapshots_rows(service, STR("s"), &own, 0, 101, &a, &e), -1);
	assert_string_equal(e.pointer, "?length");
	answer_release(&a);
	answer_init(&a);
	assert_int_equal(snapshots_statistics(service, STR("s"), &a, &e), 0);
	/* Three of 9 and three of 2 stand in chosen: mean 5.5, deviation 3.5. */
	assert_true(has(&a, "{\"num_examples\":6,\"statistics\":[{\"column_name\":\"twin\",\"column_type\":\"string_label\","));
	assert_true(has(&a, "\"frequencies\":{\"chosen_goal\":3,\"rejected_goal\":3}"));
	assert_true(has(&a, "{\"column_name\":\"score_chosen\",\"column_type\":\"float\",\"column_statistics\":{\"nan_count\":0,"
	                    "\"nan_proportion\":0,\"min\":2,\"max\":9,\"mean\":5.5,\"median\":5.5,\"std\":3.5,"
	                    "\"histogram\":{\"hist\":[3,0,0,0,0,0,0,0,0,3],\"bin_edges\":[2,"));
	assert_true(has(&a, "\"partial\":false}"));
	answer_release(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(batches),
		TEST(wrong_batches),
		TEST(etags),
		TEST(packed_batches),
		TEST(an_epoch_holds_every_example_once),
		TEST(exported_in_stored_order),
		TEST(viewer_shapes),
	};

	return cmocka_run_group_tests_name("serving", tests, NULL, NULL);
}
