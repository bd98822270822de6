#include "request.h"
#include "words.h"

/* Accept (RFC 9110, 12.5.1), as far as prefd has a choice: JSON or NDJSON. */

enum { Q_ONE = 1000, Q_ABSENT = -1 };

/* "0.25" into thousandths; what is no weight weighs 1, as if it were not there. */
static int weight(struct str q)
{
	int v = 0, unit = Q_ONE;

	if (q.n == 0 || (q.p[0] != '0' && q.p[0] != '1') || (q.n > 1 && q.p[1] != '.'))
		return Q_ONE;
	for (size_t i = 0; i < q.n && unit > 0; i++) {
		if (i == 1)
			continue;
		if (q.p[i] < '0' || q.p[i] > '9')
			return Q_ONE;
		v += (q.p[i] - '0') * unit;
		unit /= 10;
	}
	return v > Q_ONE ? Q_ONE : v;
}

static int weight_of(struct str parameters)
{
	while (parameters.n > 0) {
		struct str value = str_cut(&parameters, ';');
		struct str name = str_cut(&value, '=');

		if (same_word(name, "q"))
			return weight(str_trim(value));
	}
	return Q_ONE;
}

bool accepts_ndjson(struct str accept)
{
	int ndjson = Q_ABSENT, json = Q_ABSENT;

	while (accept.n > 0) {
		struct str element = str_cut(&accept, ',');
		struct str type = str_cut(&element, ';');
		int q = weight_of(element);

		if (same_word(type, "application/x-ndjson") || same_word(type, "application/ndjson") ||
		    same_word(type, "application/jsonl"))
			ndjson = q > ndjson ? q : ndjson;
		else if (same_word(type, "application/json"))
			json = q;
	}
	/* Only who names NDJSON gets it: a wildcard means the default. */
	return ndjson > 0 && ndjson > json;
}
