-- prefd's schema for SQLite, version 1.
--
-- Two parts: facts, which are appended and never changed, and derivations,
-- which `prefd check` compares with the facts and which can be rebuilt.
--
-- Keys of prompts, responses and texts are integers in order of arrival, from
-- one counter (counter), never used twice. seq is the dataset's sequence
-- number: the value of a key at n is made of its rows with seq <= n. Times are
-- microseconds since 1970. Narrow rows are WITHOUT ROWID with the prompt
-- first; whatever is long lies in `text`, an ordinary table.

-- ---------------------------------------------------------------- facts

CREATE TABLE counter(
	what INTEGER PRIMARY KEY CHECK (what = 1),
	next INTEGER NOT NULL                -- key of the next prompt, response or text
) STRICT;
INSERT INTO counter VALUES (1, 1);

-- Judges, models and attributes. Key 0, not in here, is "none".
CREATE TABLE name(
	key  INTEGER PRIMARY KEY,
	name TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE dataset(
	key         INTEGER PRIMARY KEY AUTOINCREMENT, -- snapshots outlive their dataset
	name        TEXT NOT NULL UNIQUE,
	going       INTEGER NOT NULL DEFAULT 0,        -- 1: being deleted, unknown to everyone
	description TEXT,
	goal_min    REAL NOT NULL,
	goal_max    REAL NOT NULL,
	seq         INTEGER NOT NULL DEFAULT 0,        -- the last number taken
	clock       INTEGER NOT NULL DEFAULT 0,        -- the last time of arrival given out
	created_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX dataset_going ON dataset(key) WHERE going = 1;

-- Declared ranges.
CREATE TABLE attribute(
	dataset   INTEGER NOT NULL,
	attribute INTEGER NOT NULL,          -- name
	min       REAL NOT NULL,
	max       REAL NOT NULL,
	PRIMARY KEY (dataset, attribute)
) STRICT, WITHOUT ROWID;

-- From ids to keys.
CREATE TABLE prompt_key(
	dataset INTEGER NOT NULL,
	id      TEXT NOT NULL,
	prompt  INTEGER NOT NULL,
	PRIMARY KEY (dataset, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE response_key(
	dataset  INTEGER NOT NULL,
	id       TEXT NOT NULL,
	prompt   INTEGER NOT NULL,
	response INTEGER NOT NULL,
	PRIMARY KEY (dataset, id)
) STRICT, WITHOUT ROWID;

-- Messages, metadata, responses, rationales.
CREATE TABLE text(
	key  INTEGER PRIMARY KEY,
	body TEXT NOT NULL
) STRICT;

-- Versions of a prompt.
CREATE TABLE prompt(
	prompt     INTEGER NOT NULL,
	seq        INTEGER NOT NULL,
	id         TEXT NOT NULL,
	hash       BLOB NOT NULL,            -- SHA-256 of the messages
	characters INTEGER NOT NULL,
	messages   INTEGER NOT NULL,         -- text
	split      TEXT NOT NULL,
	source     TEXT,
	metadata   INTEGER,                  -- text
	PRIMARY KEY (prompt, seq)
) STRICT, WITHOUT ROWID;

-- Versions of a response.
CREATE TABLE response(
	prompt        INTEGER NOT NULL,
	response      INTEGER NOT NULL,
	seq           INTEGER NOT NULL,
	id            TEXT NOT NULL,
	text          INTEGER NOT NULL,      -- text
	hash          BLOB NOT NULL,         -- SHA-256 of the text
	characters    INTEGER NOT NULL,
	model         INTEGER NOT NULL,      -- name, or 0
	tokens        INTEGER,
	finish_reason TEXT,
	PRIMARY KEY (prompt, response, seq)
) STRICT, WITHOUT ROWID;

-- The ledger of scores: every value stays. Which one is current follows from
-- (status, at, value), see server/store/score.c.
CREATE TABLE score(
	prompt    INTEGER NOT NULL,
	response  INTEGER NOT NULL,
	attribute INTEGER NOT NULL,          -- name
	judge     INTEGER NOT NULL,          -- name
	seq       INTEGER NOT NULL,
	value     REAL,                      -- NULL unless status is 2
	status    INTEGER NOT NULL,          -- 0 failed, 1 abstained, 2 ok
	at        INTEGER NOT NULL,
	rationale INTEGER,                   -- text
	PRIMARY KEY (prompt, response, attribute, judge, seq)
) STRICT, WITHOUT ROWID;

-- The ledger of votes on unordered pairs: low < high.
CREATE TABLE comparison(
	prompt   INTEGER NOT NULL,
	low      INTEGER NOT NULL,           -- response
	high     INTEGER NOT NULL,           -- response
	judge    INTEGER NOT NULL,           -- name
	seq      INTEGER NOT NULL,
	chosen   INTEGER NOT NULL,           -- low or high
	strength REAL NOT NULL,
	at       INTEGER NOT NULL,
	PRIMARY KEY (prompt, low, high, judge, seq)
) STRICT, WITHOUT ROWID;

-- Log-probabilities: the first of a model stays.
CREATE TABLE logprob(
	prompt   INTEGER NOT NULL,
	response INTEGER NOT NULL,
	model    INTEGER NOT NULL,           -- name
	seq      INTEGER NOT NULL,
	logprob  REAL NOT NULL,
	tokens   INTEGER,
	PRIMARY KEY (prompt, response, model)
) STRICT, WITHOUT ROWID;

-- What was asked of snapshots. A deleted one leaves its row: ids are never
-- used again.
CREATE TABLE snapshot(
	key         INTEGER PRIMARY KEY,
	id          TEXT NOT NULL UNIQUE,
	name        TEXT,
	dataset     TEXT NOT NULL,
	dataset_key INTEGER NOT NULL,
	seq         INTEGER NOT NULL,
	state       INTEGER NOT NULL,        -- 0 building, 1 ready, 2 failed, 3 revoked, 4 deleted
	posted      TEXT NOT NULL,
	recipe      TEXT NOT NULL,
	revision    TEXT,
	result      TEXT,
	problem     TEXT,
	bytes       INTEGER NOT NULL,
	created_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX snapshot_dataset ON snapshot(dataset_key, id);
CREATE INDEX snapshot_state ON snapshot(state, id);
CREATE INDEX snapshot_revision ON snapshot(revision) WHERE state = 1;

-- Answers of POSTs with an Idempotency-Key.
CREATE TABLE answer(
	id       INTEGER PRIMARY KEY,
	key      TEXT NOT NULL UNIQUE,
	at       INTEGER NOT NULL,
	request  BLOB NOT NULL,              -- SHA-256
	status   INTEGER NOT NULL,
	location TEXT,
	body     TEXT NOT NULL
) STRICT;
CREATE INDEX answer_at ON answer(at);

-- ---------------------------------------------------------------- derivations

-- A dataset's prompts in order of arrival.
CREATE TABLE prompt_sum(
	dataset   INTEGER NOT NULL,
	prompt    INTEGER NOT NULL,
	responses INTEGER NOT NULL,
	scored    INTEGER NOT NULL,          -- 1: has a good score
	PRIMARY KEY (dataset, prompt)
) STRICT, WITHOUT ROWID;

-- Sums over a set of numbers (server/store/sums.h says which), kept at commit.
-- A series without any value has no row.
CREATE TABLE series(
	key       INTEGER PRIMARY KEY,
	dataset   INTEGER NOT NULL,
	kind      INTEGER NOT NULL,
	a         INTEGER NOT NULL,          -- name, or 0
	b         INTEGER NOT NULL,          -- name, or 0
	failed    INTEGER NOT NULL,
	abstained INTEGER NOT NULL,
	exact     BLOB NOT NULL,             -- count, sum, sum of squares (base/exact.h)
	bins      BLOB NOT NULL,             -- int64 little-endian each
	UNIQUE (dataset, kind, a, b)
) STRICT;

-- How often each value stands in its series: the ends are minimum and maximum.
CREATE TABLE tally(
	series INTEGER NOT NULL,
	value  REAL NOT NULL,
	n      INTEGER NOT NULL,
	PRIMARY KEY (series, value)
) STRICT, WITHOUT ROWID;
