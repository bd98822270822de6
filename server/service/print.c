#include "print.h"

#include "base/clock.h"
#include "base/json.h"

void print_member(struct buf *b, const char *key, struct str value)
{
	json_put_key(b, key);
	if (value.p)
		json_put_string(b, value);
	else
		buf_lit(b, "null");
}

void print_page_end(struct buf *b, bool full, struct str cursor)
{
	buf_byte(b, ']');
	print_member(b, "next", full ? cursor : STR_NONE);
	buf_byte(b, '}');
}

void print_number_member(struct buf *b, const char *key, double value)
{
	json_put_key(b, key);
	json_put_number(b, value);
}

void print_count_member(struct buf *b, const char *key, int64_t value)
{
	json_put_key(b, key);
	buf_printf(b, "%lld", (long long)value);
}

void print_time_member(struct buf *b, const char *key, int64_t us)
{
	char text[CLOCK_TEXT_BYTES];

	clock_print(us, text);
	print_member(b, key, str_of(text));
}

void print_histogram(struct buf *b, uint32_t bins, const double *edge, const int64_t *count)
{
	json_put_key(b, "histogram");
	buf_lit(b, "{\"bin_edges\":[");
	for (uint32_t i = 0; bins > 0 && i <= bins; i++) {
		json_put_comma(b);
		json_put_number(b, edge[i]);
	}
	buf_lit(b, "],\"counts\":[");
	for (uint32_t i = 0; i < bins; i++)
		buf_printf(b, i ? ",%lld" : "%lld", (long long)count[i]);
	buf_lit(b, "]}");
}

static void print_range(struct buf *b, double min, double max)
{
	buf_byte(b, '{');
	print_number_member(b, "min", min);
	print_number_member(b, "max", max);
	buf_byte(b, '}');
}

void print_dataset(struct buf *b, const struct dataset *d)
{
	buf_byte(b, '{');
	print_member(b, "id", d->name);
	print_member(b, "description", d->description);
	json_put_key(b, "attributes");
	buf_byte(b, '{');
	for (uint32_t i = 0; i < d->attributes; i++) {
		json_put_key_str(b, d->attribute[i].name);
		print_range(b, d->attribute[i].min, d->attribute[i].max);
	}
	buf_byte(b, '}');
	json_put_key(b, "goal_scale");
	print_range(b, d->goal_min, d->goal_max);
	print_time_member(b, "created_at", d->created_at);
	buf_byte(b, '}');
}

bool page_shows(struct page *p, struct buf *b, struct str dataset, struct str cursor)
{
	p->after = cursor;
	if (!access_dataset(p->who, dataset))
		return false;
	p->shown = cursor;
	p->left--;
	json_put_comma(b);
	return true;
}
