-- So that an administrative act that is asked for twice is done once.

-- Which request an act was done for: a keyed hash that only whoever asked can make again.
ALTER TABLE audit ADD COLUMN once BLOB;
CREATE INDEX audit_once ON audit (once, id) WHERE once IS NOT NULL;

-- First answers, sealed with a key that is not here.
CREATE TABLE answer (
  once    BLOB    NOT NULL PRIMARY KEY,
  at      INTEGER NOT NULL,
  request BLOB    NOT NULL, -- a keyed hash of what was asked
  sealed  BLOB    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX answer_at ON answer (at);
