-- Keys that the operator's file has lines for: few among many.
CREATE INDEX key_listed ON key (id) WHERE json_extract(record, '$.listed') = 1;
