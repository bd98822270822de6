-- prefd's schema for SQLite, version 2: rounds.
--
-- Rounds, samples and rescorings are facts; round_prompt's counts and
-- round_work follow from them, and `prefd check` compares. A lease is neither:
-- it says who promised what until when, and nothing is lost with it.

-- ---------------------------------------------------------------- facts

-- The round that sampled the response, or 0. Each version carries it on.
ALTER TABLE response ADD COLUMN round INTEGER NOT NULL DEFAULT 0;

-- The id of the round whose rewards the snapshot has, or NULL.
ALTER TABLE snapshot ADD COLUMN round TEXT;
CREATE INDEX snapshot_round ON snapshot(round, id) WHERE round IS NOT NULL;

-- What was asked. Only state ever changes; a round outlives its dataset, and
-- ids are never used again.
CREATE TABLE round(
	key            INTEGER PRIMARY KEY AUTOINCREMENT,
	id             TEXT NOT NULL UNIQUE,
	name           TEXT,
	dataset        TEXT NOT NULL,
	dataset_key    INTEGER NOT NULL,
	state          INTEGER NOT NULL,     -- 0 open, 1 closed
	mode           INTEGER NOT NULL,     -- 0 samples, 1 the dataset's responses
	posted         TEXT NOT NULL,
	spec           TEXT NOT NULL,
	policy         INTEGER NOT NULL,     -- name
	reference      INTEGER NOT NULL,     -- name
	previous       TEXT,
	per_prompt     INTEGER NOT NULL,     -- samples; 0 in mode 1
	lease_us       INTEGER NOT NULL,
	min_characters INTEGER NOT NULL,     -- -1: no limit
	max_characters INTEGER NOT NULL,     -- -1: no limit
	seq            INTEGER NOT NULL,     -- the dataset's number that it pins
	created_at     INTEGER NOT NULL
) STRICT;
CREATE INDEX round_dataset ON round(dataset_key, id);

-- Finish reasons of responses that are not to be scored.
CREATE TABLE round_exclude(
	round         INTEGER NOT NULL,
	finish_reason TEXT NOT NULL,
	PRIMARY KEY (round, finish_reason)
) STRICT, WITHOUT ROWID;

-- The prompts, fixed when the round was made; a row goes with its prompt. The
-- list and the token ids are facts, the four counts are derived: samples that
-- are there, responses that pass the filters, and of these the ones that have
-- a log-probability of the policy and of the reference. A page of the round,
-- and the sums of its counts, are one scan.
CREATE TABLE round_prompt(
	round     INTEGER NOT NULL,
	id        TEXT NOT NULL,             -- the prompt's
	prompt    INTEGER NOT NULL,
	token_ids INTEGER,                   -- text: the first delivered stays
	samples   INTEGER NOT NULL,
	valid     INTEGER NOT NULL,
	policy    INTEGER NOT NULL,
	reference INTEGER NOT NULL,
	PRIMARY KEY (round, id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX round_prompt_key ON round_prompt(prompt, round);

-- What was delivered first. seq is that of the response's first version, which
-- is what the round looks at, whatever replaces it in the dataset.
CREATE TABLE sample(
	prompt    INTEGER NOT NULL,
	round     INTEGER NOT NULL,
	number    INTEGER NOT NULL,          -- its index, from 0
	response  INTEGER NOT NULL,
	seq       INTEGER NOT NULL,
	token_ids INTEGER,                   -- text
	PRIMARY KEY (prompt, round, number)
) STRICT, WITHOUT ROWID;

-- A rescoring's parameters, the number that it pins, and what it found.
CREATE TABLE rescoring(
	key        INTEGER PRIMARY KEY,
	round      INTEGER NOT NULL,
	number     INTEGER NOT NULL,         -- from 1
	seq        INTEGER NOT NULL,
	params     TEXT NOT NULL,
	alpha      REAL NOT NULL,
	beta       REAL NOT NULL,
	result     TEXT NOT NULL,
	created_at INTEGER NOT NULL,
	UNIQUE (round, number)
) STRICT;

-- ---------------------------------------------------------------- engines

-- Serving engines that are asked for log-probabilities: configuration, changed
-- and deleted at any time. Rounds name them by their ids.
CREATE TABLE engine(
	id            TEXT PRIMARY KEY,
	kind          INTEGER NOT NULL,      -- 0 vLLM, 1 SGLang
	url           TEXT NOT NULL,
	model         TEXT NOT NULL,         -- as the engine calls it
	max_in_flight INTEGER NOT NULL       -- requests
) STRICT, WITHOUT ROWID;

-- ---------------------------------------------------------------- leases

CREATE TABLE lease(
	key    INTEGER PRIMARY KEY,
	id     TEXT NOT NULL UNIQUE,
	round  INTEGER NOT NULL,
	kind   INTEGER NOT NULL,             -- as in round_work
	worker TEXT NOT NULL,
	until  INTEGER NOT NULL,
	ended  INTEGER NOT NULL              -- 1: given back, or the round was closed
) STRICT;
CREATE INDEX lease_alive ON lease(round, until) WHERE ended = 0;

-- ---------------------------------------------------------------- derivations

-- What a prompt still needs, a row for each kind of work: it comes and goes
-- with the counts. Whoever asks for work gets the first rows of round_work_next
-- whose time is over; so a call costs what it hands out, however many prompts
-- are done, and no row at all means that no more will come.
CREATE TABLE round_work(
	prompt INTEGER NOT NULL,
	round  INTEGER NOT NULL,
	kind   INTEGER NOT NULL,             -- 0 samples, 1 policy, 2 reference
	until  INTEGER NOT NULL,             -- of its lease; 0: nobody's
	lease  INTEGER,                      -- the last one; NULL: none, or given back
	PRIMARY KEY (prompt, round, kind)
) STRICT, WITHOUT ROWID;
CREATE INDEX round_work_next ON round_work(round, kind, until, prompt);
CREATE INDEX round_work_lease ON round_work(lease) WHERE lease IS NOT NULL;
