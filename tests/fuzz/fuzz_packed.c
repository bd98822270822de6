/* Packed rows as a spool holds them: any bytes are refused or read, never more. */
#include "fuzz.h"
#include "store/row.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf b = BUF_INIT;
	struct row row = {0};
	struct err e = {0};
	struct arena a;

	arena_init(&a);
	if (row_unpack(&a, text_of(data, size), &row, &e) == 0) {
		row_pack(&b, &row);
		MUST(b.n > 0);
	} else {
		MUST(e.detail[0] != '\0');
	}
	buf_release(&b);
	arena_release(&a);
	return 0;
}
