-- What calls can go to beside the settings: providers, credentials, prices, aliases. They are few,
-- and read all at once.
CREATE TABLE supply (
  kind       TEXT    NOT NULL, -- provider, credential, price, alias
  name       TEXT    NOT NULL,
  revision   INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  record     TEXT    NOT NULL, -- the whole of it, as JSON, but for
  sealed     BLOB,             -- a credential's secret, encrypted under a key that is not in here
  PRIMARY KEY (kind, name)
) STRICT;

-- The audit trail is searched by these.
CREATE INDEX audit_subject ON audit (subject, id);
CREATE INDEX audit_actor ON audit (actor, id);
CREATE INDEX audit_action ON audit (action, id);
