-- When the newest call of a key began, in microseconds since the epoch.
CREATE TABLE key_used (
  key BLOB    NOT NULL PRIMARY KEY,
  at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Of calls before this table, the hour is known.
INSERT INTO key_used (key, at) SELECT key, max(hour) * 1000000 FROM usage_hour GROUP BY key;
