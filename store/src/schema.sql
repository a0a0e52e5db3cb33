-- What administrators decided, and who did what.

CREATE TABLE key (
  id         BLOB    NOT NULL PRIMARY KEY,
  name       TEXT    NOT NULL,
  kind       TEXT    NOT NULL,
  maker      BLOB,
  project    BLOB    NOT NULL,
  user       BLOB,
  team       BLOB,             -- its own; a user's key has the user's
  state      INTEGER NOT NULL, -- 0 active, 1 disabled, 2 revoked
  created_at INTEGER NOT NULL,
  expires_at INTEGER,
  updated_at INTEGER NOT NULL,
  revision   INTEGER NOT NULL,
  record     TEXT    NOT NULL  -- the whole of it, as JSON; the columns above are for finding it
) STRICT;

-- Lists are read from these alone until a page is full.
CREATE INDEX key_list  ON key (id, state, name);
-- Narrow, so that counting a million is quick.
CREATE INDEX key_state ON key (state);
CREATE INDEX key_maker ON key (maker, id, state, name) WHERE maker IS NOT NULL;
CREATE INDEX key_project ON key (project, id, state, name);
CREATE INDEX key_user ON key (user, id, state, name) WHERE user IS NOT NULL;
CREATE INDEX key_team ON key (team) WHERE team IS NOT NULL;

-- The instance, projects, teams, users.
CREATE TABLE owner (
  kind       TEXT    NOT NULL,
  id         BLOB    NOT NULL, -- the instance's is all zeros
  name       TEXT    NOT NULL,
  team       BLOB,             -- a user's
  revision   INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  record     TEXT    NOT NULL, -- the whole of it, as JSON; the columns above are for finding it
  PRIMARY KEY (kind, id)
) STRICT;

CREATE INDEX owner_name ON owner (kind, name, id);
CREATE INDEX owner_team ON owner (team, id) WHERE team IS NOT NULL;
-- Systems around us know a user by its name.
CREATE UNIQUE INDEX owner_user ON owner (name) WHERE kind = 'user';

CREATE TABLE secret (
  digest BLOB NOT NULL PRIMARY KEY,
  key    BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE meta (
  name  TEXT NOT NULL PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- One row for every administrative act, written with what it did.
CREATE TABLE audit (
  id      INTEGER PRIMARY KEY,
  at      INTEGER NOT NULL,
  actor   TEXT    NOT NULL,
  action  TEXT    NOT NULL,
  subject TEXT    NOT NULL,
  before  TEXT,
  after   TEXT
) STRICT;
