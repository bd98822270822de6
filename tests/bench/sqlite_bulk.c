/* sqlite_bulk ROWS.ndjson DB
 *
 * The yardstick of bulk ingest: the same rows into SQLite in process, as a
 * careful program would store them. WAL, synchronous=FULL, 1,000 responses a
 * transaction, prepared statements, ids looked up by a unique index as ours
 * are. All JSON is parsed before the clock starts. Prints what was stored and
 * the seconds from the first INSERT to the last COMMIT. */
#include <cjson/cJSON.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { RESPONSES_AT_ONCE = 1000 };

static const char schema[] =
	"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
	"CREATE TABLE prompt(key INTEGER PRIMARY KEY, id TEXT UNIQUE, messages TEXT);"
	"CREATE TABLE response(key INTEGER PRIMARY KEY, prompt INTEGER, id TEXT UNIQUE, model TEXT, text TEXT);"
	"CREATE TABLE score(response INTEGER, judge TEXT, attribute TEXT, value REAL, at INTEGER,"
	" PRIMARY KEY(response, judge, attribute)) WITHOUT ROWID;";

static sqlite3 *db;
static sqlite3_stmt *put_prompt, *put_response, *put_score;
static long responses, scores, in_transaction;

static void need(int ok)
{
	if (ok)
		return;
	fprintf(stderr, "sqlite_bulk: %s\n", db ? sqlite3_errmsg(db) : "cannot read the rows");
	exit(1);
}

static void run(const char *sql)
{
	need(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK);
}

static void prepare(sqlite3_stmt **s, const char *sql)
{
	need(sqlite3_prepare_v2(db, sql, -1, s, NULL) == SQLITE_OK);
}

static void bind_text(sqlite3_stmt *s, int at, const cJSON *v)
{
	if (cJSON_IsString(v))
		sqlite3_bind_text(s, at, v->valuestring, -1, SQLITE_STATIC);
	else
		sqlite3_bind_null(s, at);
}

static void step(sqlite3_stmt *s)
{
	need(sqlite3_step(s) == SQLITE_DONE && sqlite3_reset(s) == SQLITE_OK);
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void store_score(long long response, const cJSON *v, long long now)
{
	const cJSON *attribute = cJSON_GetObjectItemCaseSensitive(v, "attribute");

	sqlite3_bind_int64(put_score, 1, response);
	bind_text(put_score, 2, cJSON_GetObjectItemCaseSensitive(v, "judge"));
	bind_text(put_score, 3, attribute);
	if (!attribute)
		sqlite3_bind_text(put_score, 3, "overall", -1, SQLITE_STATIC);
	sqlite3_bind_double(put_score, 4, cJSON_GetObjectItemCaseSensitive(v, "value")->valuedouble);
	sqlite3_bind_int64(put_score, 5, now);
	step(put_score);
	scores++;
}

static void store_response(long long prompt, const cJSON *v)
{
	long long now = (long long)(seconds() * 1e6), key;
	const cJSON *score;

	sqlite3_bind_int64(put_response, 1, prompt);
	bind_text(put_response, 2, cJSON_GetObjectItemCaseSensitive(v, "id"));
	bind_text(put_response, 3, cJSON_GetObjectItemCaseSensitive(v, "model"));
	bind_text(put_response, 4, cJSON_GetObjectItemCaseSensitive(v, "text"));
	step(put_response);
	key = sqlite3_last_insert_rowid(db);
	cJSON_ArrayForEach(score, cJSON_GetObjectItemCaseSensitive(v, "scores"))
		store_score(key, score, now);
	responses++;
	in_transaction++;
}

static void store_row(const cJSON *row)
{
	const cJSON *r;
	long long key;

	if (in_transaction >= RESPONSES_AT_ONCE) {
		run("COMMIT; BEGIN");
		in_transaction = 0;
	}
	bind_text(put_prompt, 1, cJSON_GetObjectItemCaseSensitive(row, "id"));
	bind_text(put_prompt, 2, cJSON_GetObjectItemCaseSensitive(row, "prompt"));
	step(put_prompt);
	key = sqlite3_last_insert_rowid(db);
	cJSON_ArrayForEach(r, cJSON_GetObjectItemCaseSensitive(row, "responses"))
		store_response(key, r);
}

static cJSON **read_rows(const char *path, size_t *n)
{
	FILE *f = fopen(path, "r");
	size_t cap = 0, room = 0;
	cJSON **row = NULL;
	char *line = NULL;

	need(f != NULL);
	for (*n = 0; getline(&line, &cap, f) > 0; (*n)++) {
		if (*n == room)
			row = realloc(row, (room = room ? 2 * room : 1024) * sizeof *row);
		row[*n] = cJSON_Parse(line);
		need(row[*n] != NULL);
	}
	free(line);
	fclose(f);
	return row;
}

int main(int argc, char **argv)
{
	double before;
	cJSON **row;
	size_t n;

	if (argc != 3) {
		fputs("usage: sqlite_bulk ROWS.ndjson DB\n", stderr);
		return 2;
	}
	row = read_rows(argv[1], &n);
	need(sqlite3_open(argv[2], &db) == SQLITE_OK);
	run(schema);
	prepare(&put_prompt, "INSERT INTO prompt(id, messages) VALUES (?, ?)");
	prepare(&put_response, "INSERT INTO response(prompt, id, model, text) VALUES (?, ?, ?, ?)");
	prepare(&put_score, "INSERT INTO score VALUES (?, ?, ?, ?, ?)");
	before = seconds();
	run("BEGIN");
	for (size_t i = 0; i < n; i++)
		store_row(row[i]);
	run("COMMIT");
	printf("%ld responses %ld scores %.6f seconds\n", responses, scores, seconds() - before);
	sqlite3_finalize(put_prompt);
	sqlite3_finalize(put_response);
	sqlite3_finalize(put_score);
	return sqlite3_close(db) == SQLITE_OK ? 0 : 1;
}
