-- What the journal comes to, and how far in it that reaches. All of it can be made again.

CREATE TABLE name (
  id   INTEGER PRIMARY KEY,
  text TEXT NOT NULL UNIQUE
) STRICT;

-- `hour` is the UTC hour an attempt began in, in seconds since the epoch.
CREATE TABLE usage_hour (
  key              BLOB    NOT NULL,
  hour             INTEGER NOT NULL,
  model            INTEGER NOT NULL,
  provider         INTEGER NOT NULL,
  calls            INTEGER NOT NULL,
  unpriced         INTEGER NOT NULL,
  failed           INTEGER NOT NULL,
  cost             INTEGER NOT NULL,
  estimated        INTEGER NOT NULL,
  micros           INTEGER NOT NULL,
  input            INTEGER NOT NULL,
  cache_read       INTEGER NOT NULL,
  cache_write      INTEGER NOT NULL,
  cache_write_hour INTEGER NOT NULL,
  output           INTEGER NOT NULL,
  reasoning        INTEGER NOT NULL,
  audio_input      INTEGER NOT NULL,
  audio_output     INTEGER NOT NULL,
  image_input      INTEGER NOT NULL,
  image_output     INTEGER NOT NULL,
  images           INTEGER NOT NULL,
  audio_millis     INTEGER NOT NULL,
  characters       INTEGER NOT NULL,
  tool_calls       INTEGER NOT NULL,
  PRIMARY KEY (key, hour, model, provider)
) STRICT, WITHOUT ROWID;

CREATE INDEX usage_hour_hour ON usage_hour (hour);

-- The journal's frames before this place are in the sums.
CREATE TABLE applied (
  id      INTEGER PRIMARY KEY CHECK (id = 1),
  segment INTEGER NOT NULL,
  offset  INTEGER NOT NULL,
  seq     INTEGER NOT NULL
) STRICT;

-- Full segments, with the times their rows began, in microseconds since the epoch.
CREATE TABLE segment (
  first INTEGER PRIMARY KEY,
  since INTEGER NOT NULL,
  until INTEGER NOT NULL
) STRICT;

-- What counts against a limit in the newest turn of its window in which something counted: `turn`
-- is that turn's beginning, in microseconds since the epoch, `spent` an amount in the limit's unit.
CREATE TABLE balance (
  scope BLOB    NOT NULL,
  lim   BLOB    NOT NULL,
  turn  INTEGER NOT NULL,
  spent INTEGER NOT NULL,
  PRIMARY KEY (scope, lim)
) STRICT, WITHOUT ROWID;

-- Holds that were open at the journal's place in `applied`, each with its entry.
CREATE TABLE open_hold (
  attempt BLOB PRIMARY KEY,
  began   BLOB NOT NULL
) STRICT, WITHOUT ROWID;
