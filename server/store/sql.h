/* sql.h - every statement of the store, as a table.
 *
 * X(name, text). Parameters are bound in order; columns are read in order. A
 * connection prepares a statement when it first needs it and keeps it. */
#ifndef PREFD_STORE_SQL_H
#define PREFD_STORE_SQL_H

#define SCORE_IS "prompt=? AND response=? AND attribute=? AND judge=?"
#define SNAPSHOT_COLUMNS \
	"id, name, dataset, dataset_key, seq, state, posted, recipe, revision, result, problem, bytes, created_at," \
	" round"

#define ROUND_COLUMNS \
	"key, id, name, dataset, dataset_key, state, mode, posted, spec, policy, reference, previous, per_prompt," \
	" lease_us, min_characters, max_characters, seq, created_at"
#define RESCORING_COLUMNS "number, seq, params, alpha, beta, result, created_at"

#define ENGINE_COLUMNS "id, kind, url, model, max_in_flight"

#define STATEMENTS(X) \
	X(BEGIN, "BEGIN") \
	X(BEGIN_WRITE, "BEGIN IMMEDIATE") \
	X(COMMIT, "COMMIT") \
	X(ROLLBACK, "ROLLBACK") \
	X(SAVEPOINT, "SAVEPOINT request") \
	X(RELEASE, "RELEASE request") \
	X(UNDO, "ROLLBACK TO request") \
	\
	X(COUNTER_GET, "SELECT next FROM counter") \
	X(COUNTER_SET, "UPDATE counter SET next=?") \
	X(NAME_KEY, "SELECT key FROM name WHERE name=?") \
	X(NAME_TEXT, "SELECT name FROM name WHERE key=?") \
	X(NAME_INSERT, "INSERT INTO name(name) VALUES (?)") \
	X(TEXT_GET, "SELECT body FROM text WHERE key=?") \
	X(TEXT_FROM, "SELECT key, body FROM text WHERE key>=? ORDER BY key") \
	X(TEXT_INSERT, "INSERT INTO text VALUES (?,?)") \
	X(TEXT_DELETE, "DELETE FROM text WHERE key=?") \
	\
	X(DATASET_GET, "SELECT key, name, description, goal_min, goal_max, seq, created_at, going FROM dataset" \
	  " WHERE name=?") \
	X(DATASET_LIST, "SELECT key, name, description, goal_min, goal_max, seq, created_at, going FROM dataset" \
	  " WHERE name>? AND going=0 ORDER BY name LIMIT ?") \
	X(DATASET_STATE, "SELECT key, seq, clock FROM dataset WHERE name=? AND going=0") \
	X(DATASET_SET_STATE, "UPDATE dataset SET seq=?, clock=? WHERE key=?") \
	X(DATASET_INSERT, "INSERT INTO dataset(name, description, goal_min, goal_max, created_at)" \
	  " VALUES (?,?,?,?,?)") \
	X(DATASET_CHANGE, "UPDATE dataset SET description=?, goal_min=?, goal_max=? WHERE key=?") \
	X(DATASET_GO, "UPDATE dataset SET going=1 WHERE key=?") \
	X(DATASET_GOING, "SELECT key FROM dataset WHERE going=1 ORDER BY key LIMIT 1") \
	X(DATASET_DELETE, "DELETE FROM dataset WHERE key=?") \
	X(DATASET_REVOKE, "UPDATE snapshot SET state=3, problem=? WHERE dataset_key=? AND state IN (0,1,2)") \
	X(ATTRIBUTE_LIST, "SELECT attribute, min, max FROM attribute WHERE dataset=?") \
	X(ATTRIBUTE_GET, "SELECT min, max FROM attribute WHERE dataset=? AND attribute=?") \
	X(ATTRIBUTE_PUT, "INSERT INTO attribute VALUES (?,?,?,?)" \
	  " ON CONFLICT DO UPDATE SET min=excluded.min, max=excluded.max") \
	X(ATTRIBUTE_DELETE, "DELETE FROM attribute WHERE dataset=?") \
	\
	X(PROMPT_FIND, "SELECT prompt FROM prompt_key WHERE dataset=? AND id=?") \
	X(PROMPT_PAGE, "SELECT id, prompt FROM prompt_key WHERE dataset=? AND id>? ORDER BY id") \
	X(PROMPT_KEY_INSERT, "INSERT INTO prompt_key VALUES (?,?,?)") \
	X(PROMPT_KEY_DELETE, "DELETE FROM prompt_key WHERE dataset=? AND id=?") \
	X(PROMPT_AT, "SELECT seq, id, hash, characters, messages, split, source, metadata FROM prompt" \
	  " WHERE prompt=? AND seq<=? ORDER BY seq DESC LIMIT 1") \
	X(PROMPT_FROM, "SELECT prompt, seq, id, hash, characters, messages, split, source, metadata FROM prompt" \
	  " WHERE prompt>=? ORDER BY prompt, seq") \
	X(PROMPT_INSERT, "INSERT INTO prompt VALUES (?,?,?,?,?,?,?,?,?)") \
	X(PROMPT_SLICE, "SELECT seq, messages, metadata, id FROM prompt WHERE prompt=? ORDER BY seq LIMIT ?") \
	X(PROMPT_DELETE, "DELETE FROM prompt WHERE prompt=? AND seq=?") \
	X(PROMPT_SUM_GET, "SELECT responses, scored FROM prompt_sum WHERE dataset=? AND prompt=?") \
	X(PROMPT_SUM_PUT, "INSERT INTO prompt_sum VALUES (?,?,?,?)" \
	  " ON CONFLICT DO UPDATE SET responses=excluded.responses, scored=excluded.scored") \
	X(PROMPT_SUM_SCORED, "UPDATE prompt_sum SET scored=1 WHERE dataset=? AND prompt=? AND scored=0") \
	X(PROMPT_SUM_FROM, "SELECT prompt FROM prompt_sum WHERE dataset=? AND prompt>=? ORDER BY prompt") \
	X(PROMPT_SUM_DELETE, "DELETE FROM prompt_sum WHERE dataset=? AND prompt=?") \
	\
	X(RESPONSE_FIND, "SELECT prompt, response FROM response_key WHERE dataset=? AND id=?") \
	X(RESPONSE_KEY_INSERT, "INSERT INTO response_key VALUES (?,?,?,?)") \
	X(RESPONSE_KEY_DELETE, "DELETE FROM response_key WHERE dataset=? AND id=?") \
	X(RESPONSE_LATEST, "SELECT text, hash, characters, model, tokens, finish_reason, round FROM response" \
	  " WHERE prompt=? AND response=? ORDER BY seq DESC LIMIT 1") \
	X(RESPONSE_PAGE, "SELECT response, id, text, hash, characters, model, tokens, finish_reason, round" \
	  " FROM response" \
	  " WHERE prompt=? AND response>? AND seq<=? ORDER BY response, seq") \
	X(RESPONSE_FROM, "SELECT prompt, seq, response, id, text, hash, characters, model, tokens, finish_reason, round" \
	  " FROM response WHERE prompt>=? ORDER BY prompt, response, seq") \
	X(RESPONSE_INSERT, "INSERT INTO response VALUES (?,?,?,?,?,?,?,?,?,?,?)") \
	X(RESPONSE_DELETE, "DELETE FROM response WHERE prompt=? AND response=? AND seq=?") \
	X(RESPONSE_SLICE, "SELECT response, seq, id, text, characters, model FROM response" \
	  " WHERE prompt=? ORDER BY response, seq LIMIT ?") \
	X(RESPONSE_ID, "SELECT id FROM response WHERE prompt=? AND response=? LIMIT 1") \
	X(RESPONSE_FIRST, "SELECT round, characters, finish_reason FROM response" \
	  " WHERE prompt=? AND response=? ORDER BY seq LIMIT 1") \
	X(RESPONSE_AT, "SELECT round, characters, finish_reason FROM response" \
	  " WHERE prompt=? AND response=? AND seq<=? ORDER BY seq DESC LIMIT 1") \
	X(RESPONSE_MORE, "SELECT 1 FROM response WHERE prompt=? AND response=? LIMIT 1") \
	\
	X(SCORE_LEDGER, "SELECT value, status, at, seq FROM score WHERE " SCORE_IS " ORDER BY seq") \
	X(SCORE_FROM, "SELECT prompt, seq, response, attribute, judge, value, status, at, rationale FROM score" \
	  " WHERE prompt>=? ORDER BY prompt, response, attribute, judge, seq") \
	X(SCORE_ANY_GOOD, "SELECT 1 FROM score WHERE prompt=? AND status=2 LIMIT 1") \
	X(SCORE_INSERT, "INSERT INTO score VALUES (?,?,?,?,?,?,?,?,?)") \
	X(SCORE_DELETE, "DELETE FROM score WHERE " SCORE_IS " AND seq=?") \
	X(SCORE_SLICE, "SELECT response, attribute, judge, seq, value, status, at, rationale FROM score" \
	  " WHERE prompt=? ORDER BY response, attribute, judge, seq LIMIT ?") \
	\
	X(VOTE_LEDGER, "SELECT chosen, strength, at, seq FROM comparison" \
	  " WHERE prompt=? AND low=? AND high=? AND judge=? ORDER BY seq") \
	X(VOTE_FROM, "SELECT prompt, seq, low, high, judge, chosen, strength, at FROM comparison" \
	  " WHERE prompt>=? ORDER BY prompt, low, high, judge, seq") \
	X(VOTE_INSERT, "INSERT INTO comparison VALUES (?,?,?,?,?,?,?,?)") \
	X(VOTE_DELETE, "DELETE FROM comparison WHERE prompt=? AND low=? AND high=? AND judge=? AND seq=?") \
	X(VOTE_SLICE, "SELECT low, high, judge, seq, chosen, strength, at FROM comparison" \
	  " WHERE prompt=? ORDER BY low, high, judge, seq LIMIT ?") \
	\
	X(LOGPROB_FIND, "SELECT seq FROM logprob WHERE prompt=? AND response=? AND model=?") \
	X(LOGPROB_PAGE, "SELECT response, model, logprob, tokens FROM logprob" \
	  " WHERE prompt=? AND seq<=? ORDER BY response, model") \
	X(LOGPROB_FROM, "SELECT prompt, seq, response, model, logprob, tokens FROM logprob" \
	  " WHERE prompt>=? ORDER BY prompt, response, model") \
	X(LOGPROB_INSERT, "INSERT INTO logprob VALUES (?,?,?,?,?,?)") \
	X(LOGPROB_SLICE, "SELECT response, model FROM logprob WHERE prompt=? ORDER BY response, model LIMIT ?") \
	X(LOGPROB_DELETE, "DELETE FROM logprob WHERE prompt=? AND response=? AND model=?") \
	\
	X(SERIES_GET, "SELECT key, failed, abstained, exact, bins FROM series" \
	  " WHERE dataset=? AND kind=? AND a=? AND b=?") \
	X(SERIES_THERE, "SELECT 1 FROM series WHERE dataset=? AND kind=? AND a=? AND b=?") \
	X(SERIES_COUNT, "SELECT count(*) FROM series WHERE dataset=? AND kind>=?") \
	X(SERIES_LIST, "SELECT key, kind, a, b, failed, abstained, exact, bins FROM series" \
	  " WHERE dataset=? ORDER BY kind, a, b") \
	X(SERIES_OF_ATTRIBUTE, "SELECT key, a FROM series WHERE dataset=? AND kind=? AND b=?") \
	X(SERIES_INSERT, "INSERT INTO series(dataset, kind, a, b, failed, abstained, exact, bins)" \
	  " VALUES (?,?,?,?,?,?,?,?)") \
	X(SERIES_UPDATE, "UPDATE series SET failed=?, abstained=?, exact=?, bins=? WHERE key=?") \
	X(SERIES_DELETE, "DELETE FROM series WHERE key=?") \
	X(TALLY_ADD, "INSERT INTO tally VALUES (?,?,?) ON CONFLICT DO UPDATE SET n = n + excluded.n") \
	X(TALLY_PRUNE, "DELETE FROM tally WHERE series=? AND value=? AND n=0") \
	X(TALLY_LEAST, "SELECT value FROM tally WHERE series=? ORDER BY value LIMIT 1") \
	X(TALLY_GREATEST, "SELECT value FROM tally WHERE series=? ORDER BY value DESC LIMIT 1") \
	X(TALLY_LIST, "SELECT value, n FROM tally WHERE series=?") \
	\
	X(SNAPSHOT_GET, "SELECT " SNAPSHOT_COLUMNS " FROM snapshot WHERE id=?") \
	X(SNAPSHOT_LIST, "SELECT " SNAPSHOT_COLUMNS " FROM snapshot WHERE id>? AND state<>4 ORDER BY id LIMIT ?") \
	X(SNAPSHOT_LIST_DATASET, "SELECT " SNAPSHOT_COLUMNS " FROM snapshot" \
	  " WHERE dataset_key=? AND id>? AND state<>4 ORDER BY id LIMIT ?") \
	X(SNAPSHOT_IN_STATE, "SELECT " SNAPSHOT_COLUMNS " FROM snapshot" \
	  " WHERE state=? AND id>? ORDER BY id LIMIT ?") \
	X(SNAPSHOT_OF_ROUND, "SELECT id FROM snapshot WHERE round=? AND state<>4 ORDER BY id") \
	X(SNAPSHOT_USERS, "SELECT count(*) FROM snapshot WHERE revision=? AND state=1") \
	X(SNAPSHOT_INSERT, "INSERT INTO snapshot(" SNAPSHOT_COLUMNS ") VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)") \
	X(SNAPSHOT_SETTLE, "UPDATE snapshot SET state=?, revision=coalesce(?, revision)," \
	  " result=coalesce(?, result), problem=?, bytes=? WHERE id=?") \
	\
	X(ROUND_GET, "SELECT " ROUND_COLUMNS " FROM round WHERE id=?") \
	X(ROUND_BY_KEY, "SELECT " ROUND_COLUMNS " FROM round WHERE key=?") \
	X(ROUND_ID, "SELECT id FROM round WHERE key=?") \
	X(ROUND_LIST, "SELECT " ROUND_COLUMNS " FROM round WHERE id>? ORDER BY id LIMIT ?") \
	X(ROUND_LIST_DATASET, "SELECT " ROUND_COLUMNS " FROM round WHERE dataset_key=? AND id>? ORDER BY id LIMIT ?") \
	X(ROUND_INSERT, "INSERT INTO round(id, name, dataset, dataset_key, state, mode, posted, spec, policy, reference," \
	  " previous, per_prompt, lease_us, min_characters, max_characters, seq, created_at)" \
	  " VALUES (?,?,?,?,0,?,?,?,?,?,?,?,?,?,?,?,?)") \
	X(ROUND_CLOSE, "UPDATE round SET state=1 WHERE key=?") \
	X(ROUND_CLOSE_DATASET, "UPDATE round SET state=1 WHERE dataset_key=?") \
	X(ROUND_SUMS, "SELECT count(*), total(samples), total(valid), total(policy), total(reference)" \
	  " FROM round_prompt WHERE round=?") \
	X(EXCLUDE_LIST, "SELECT finish_reason FROM round_exclude WHERE round=? ORDER BY finish_reason") \
	X(EXCLUDE_INSERT, "INSERT OR IGNORE INTO round_exclude VALUES (?,?)") \
	\
	X(ROUND_PROMPT_INSERT, "INSERT INTO round_prompt VALUES (?,?,?,NULL,?,?,?,?)") \
	X(ROUND_PROMPT_PAGE, "SELECT id, prompt, samples, valid, policy, reference FROM round_prompt" \
	  " WHERE round=? AND id>? ORDER BY id LIMIT ?") \
	X(ROUND_PROMPT_GET, "SELECT samples, valid, policy, reference, token_ids FROM round_prompt" \
	  " WHERE prompt=? AND round=?") \
	X(ROUND_PROMPT_COUNT, "UPDATE round_prompt SET samples=?, valid=?, policy=?, reference=?" \
	  " WHERE prompt=? AND round=?") \
	X(ROUND_PROMPT_TOKENS, "UPDATE round_prompt SET token_ids=? WHERE prompt=? AND round=?") \
	X(ROUND_PROMPT_SLICE, "SELECT round, token_ids FROM round_prompt WHERE prompt=? LIMIT ?") \
	X(ROUND_PROMPT_DELETE, "DELETE FROM round_prompt WHERE prompt=? AND round=?") \
	X(ROUND_OF_PROMPT, "SELECT round FROM round_prompt WHERE prompt=?") \
	\
	X(SAMPLE_FIND, "SELECT response FROM sample WHERE prompt=? AND round=? AND number=?") \
	X(SAMPLE_PAGE, "SELECT s.response, r.id, r.text, r.hash, r.characters, r.tokens, r.finish_reason, s.number," \
	  " s.token_ids FROM sample s CROSS JOIN response r" \
	  " ON r.prompt=s.prompt AND r.response=s.response AND r.seq=s.seq" \
	  " WHERE s.prompt=? AND s.round=? AND s.seq<=? ORDER BY s.number") \
	X(SAMPLE_INSERT, "INSERT INTO sample VALUES (?,?,?,?,?,?)") \
	X(SAMPLE_SLICE, "SELECT round, number, token_ids FROM sample WHERE prompt=? LIMIT ?") \
	X(SAMPLE_DELETE, "DELETE FROM sample WHERE prompt=? AND round=? AND number=?") \
	\
	X(WORK_PUT, "INSERT INTO round_work VALUES (?,?,?,0,NULL)") \
	X(WORK_DONE, "DELETE FROM round_work WHERE prompt=? AND round=? AND kind=?") \
	X(WORK_NEXT, "SELECT prompt FROM round_work WHERE round=? AND kind=? AND until<=? ORDER BY until, prompt LIMIT ?") \
	X(WORK_ANY, "SELECT 1 FROM round_work WHERE round=? AND kind=? LIMIT 1") \
	X(WORK_LEASE, "UPDATE round_work SET until=?, lease=? WHERE prompt=? AND round=? AND kind=?") \
	X(WORK_RENEW, "UPDATE round_work SET until=? WHERE lease=?") \
	X(WORK_FREE, "UPDATE round_work SET until=0, lease=NULL WHERE lease=?") \
	X(WORK_KINDS_OF, "SELECT kind FROM round_work WHERE prompt=? AND round=?") \
	X(WORK_DELETE, "DELETE FROM round_work WHERE prompt=? AND round=?") \
	\
	X(LEASE_GET, "SELECT key, round, until, ended FROM lease WHERE id=?") \
	X(LEASE_INSERT, "INSERT INTO lease(id, round, kind, worker, until, ended) VALUES (?,?,?,?,?,0)") \
	X(LEASE_RENEW, "UPDATE lease SET until=? WHERE key=?") \
	X(LEASE_END, "UPDATE lease SET ended=1 WHERE key=?") \
	X(LEASE_END_ROUND, "UPDATE lease SET ended=1 WHERE round=? AND ended=0") \
	X(LEASE_END_DATASET, "UPDATE lease SET ended=1 WHERE ended=0 AND" \
	  " round IN (SELECT key FROM round WHERE dataset_key=?)") \
	X(LEASE_ALIVE, "SELECT count(*) FROM lease WHERE round=? AND until>? AND ended=0") \
	\
	X(RESCORING_LAST, "SELECT max(number) FROM rescoring WHERE round=?") \
	X(RESCORING_INSERT, "INSERT INTO rescoring(round, " RESCORING_COLUMNS ") VALUES (?,?,?,?,?,?,?,?)") \
	X(RESCORING_GET, "SELECT " RESCORING_COLUMNS " FROM rescoring WHERE round=? AND number=?") \
	X(RESCORING_LIST, "SELECT " RESCORING_COLUMNS " FROM rescoring WHERE round=? AND number>? ORDER BY number") \
	\
	X(ENGINE_GET, "SELECT " ENGINE_COLUMNS " FROM engine WHERE id=?") \
	X(ENGINE_LIST, "SELECT " ENGINE_COLUMNS " FROM engine WHERE id>? ORDER BY id LIMIT ?") \
	X(ENGINE_PUT, "INSERT INTO engine VALUES (?,?,?,?,?) ON CONFLICT(id) DO UPDATE SET kind=excluded.kind," \
	  " url=excluded.url, model=excluded.model, max_in_flight=excluded.max_in_flight") \
	X(ENGINE_DELETE, "DELETE FROM engine WHERE id=?") \
	X(ROUND_UNSCORED, "SELECT id, prompt, token_ids FROM round_prompt WHERE round=? AND id>?" \
	  " AND valid > iif(?, reference, policy) ORDER BY id LIMIT ?") \
	\
	X(ANSWER_GET, "SELECT request, status, location, body FROM answer WHERE key=?") \
	X(ANSWER_PUT, "INSERT INTO answer(key, at, request, status, location, body) VALUES (?,?,?,?,?,?)" \
	  " ON CONFLICT(key) DO UPDATE SET at=excluded.at, request=excluded.request, status=excluded.status," \
	  " location=excluded.location, body=excluded.body") \
	X(ANSWER_PURGE, "DELETE FROM answer WHERE id IN (SELECT id FROM answer WHERE at<? ORDER BY at LIMIT ?)") \
	\
	X(CHECK_INTEGRITY, "PRAGMA integrity_check(100)") \
	X(CHECK_DATASETS, "SELECT name, key, seq FROM dataset WHERE key>? AND going=0 ORDER BY key LIMIT 1") \
	X(CHECK_KEYS, "SELECT count(*) FROM response_key WHERE dataset=?") \
	X(CHECK_PROMPTS, "SELECT count(*) FROM prompt_sum WHERE dataset=?") \
	X(CHECK_TALLIES, "SELECT s.kind, s.a, s.b, t.value, t.n FROM series s JOIN tally t ON t.series=s.key" \
	  " WHERE s.dataset=?") \
	X(CHECK_TALLY_ORPHANS, "SELECT count(*) FROM (SELECT series FROM tally EXCEPT SELECT key FROM series)") \
	X(CHECK_ORPHANS, "SELECT count(*) FROM (SELECT prompt FROM prompt UNION SELECT prompt FROM response" \
	  " UNION SELECT prompt FROM score UNION SELECT prompt FROM comparison UNION SELECT prompt FROM logprob" \
	  " UNION SELECT prompt FROM sample UNION SELECT prompt FROM round_prompt" \
	  " EXCEPT SELECT prompt FROM prompt_sum)") \
	X(CHECK_ROUNDS, "SELECT id FROM round WHERE key>? ORDER BY key LIMIT 1") \
	X(CHECK_SAMPLES, "SELECT count(*) FROM sample s LEFT JOIN response r" \
	  " ON r.prompt=s.prompt AND r.response=s.response AND r.seq=s.seq" \
	  " WHERE r.prompt IS NULL OR r.round<>s.round") \
	X(CHECK_WORK, "SELECT count(*) FROM (SELECT prompt, round FROM round_work" \
	  " EXCEPT SELECT prompt, round FROM round_prompt)")

enum sql {
#define X(name, text) SQL_##name,
	STATEMENTS(X)
#undef X
	SQL_COUNT
};

#endif
