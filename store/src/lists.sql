-- What lists of keys are read from: each index also answers what a list may ask for beside it.

DROP INDEX key_list;
DROP INDEX key_maker;
DROP INDEX key_project;
DROP INDEX key_user;

-- In the order they were made, all of them or those of somebody.
CREATE INDEX key_list    ON key (id, state, kind, expires_at, name);
CREATE INDEX key_maker   ON key (maker, id, state, kind, expires_at, name) WHERE maker IS NOT NULL;
CREATE INDEX key_project ON key (project, id, state, kind, expires_at, name);
CREATE INDEX key_user    ON key (user, id, state, kind, expires_at, name) WHERE user IS NOT NULL;
CREATE INDEX key_off     ON key (state, id, kind, expires_at, name) WHERE state <> 0;
CREATE INDEX key_manages ON key (id, state, expires_at, name) WHERE kind = 'management';

-- In another order. What never ends comes last.
CREATE INDEX key_name ON key (name, id, state, kind, expires_at, maker, project);
CREATE INDEX key_ends ON key (coalesce(expires_at, 9223372036854775807), id, state, kind, expires_at, name, maker, project);

-- Narrow: what counts against a project's plan.
CREATE INDEX key_counted ON key (project) WHERE kind = 'regular' AND state < 2;

-- Any three characters of a name. Rows of keys are never deleted, and the file is never vacuumed, so
-- that their numbers stay.
CREATE VIRTUAL TABLE key_search USING fts5 (name, content = 'key', tokenize = 'trigram');
INSERT INTO key_search (key_search) VALUES ('rebuild');

CREATE TRIGGER key_named AFTER INSERT ON key BEGIN
  INSERT INTO key_search (rowid, name) VALUES (new.rowid, new.name);
END;

CREATE TRIGGER key_renamed AFTER UPDATE OF name ON key WHEN old.name <> new.name BEGIN
  INSERT INTO key_search (key_search, rowid, name) VALUES ('delete', old.rowid, old.name);
  INSERT INTO key_search (rowid, name) VALUES (new.rowid, new.name);
END;
