/* Engines' answers: a finite number at most 0, or a reason. */
#include <math.h>

#include "../../server/service/engine.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct engine_ids ids;
	enum score_failure failed;
	double logprob = NAN;
	struct arena a;

	if (size == 0)
		return 0;
	arena_init(&a);
	MUST(engine_ids_read(&a, STR("[1,22,333]"), STR("[44,5]"), &ids) == FAILED_NONE);
	failed = engine_read(&a, data[0] % 3, text_of(data + 1, size - 1), &ids, &logprob);
	MUST(failed < SCORE_FAILURE_COUNT && score_failure_word(failed) != NULL);
	if (failed == FAILED_NONE)
		MUST(isfinite(logprob) && logprob <= 0.01);
	arena_release(&a);
	return 0;
}
