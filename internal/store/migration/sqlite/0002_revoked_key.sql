-- +goose Up
-- SQLite changes no CHECK: the table is made anew. Dropping it fires no trigger.
CREATE TABLE revocation_new (
    number  INTEGER NOT NULL PRIMARY KEY,
    scope   TEXT    NOT NULL CHECK (scope IN ('grant', 'case', 'subject', 'key', 'everything')),
    name    TEXT    NOT NULL,
    reason  TEXT    NOT NULL,
    actor   TEXT    NOT NULL,
    made_at INTEGER NOT NULL,
    CHECK ((scope = 'everything') = (name = ''))
) STRICT;
INSERT INTO revocation_new (number, scope, name, reason, actor, made_at)
SELECT number, scope, name, reason, actor, made_at FROM revocation;
DROP TABLE revocation;
ALTER TABLE revocation_new RENAME TO revocation;

-- +goose StatementBegin
CREATE TRIGGER revocation_unchanged BEFORE UPDATE ON revocation
BEGIN
    SELECT RAISE(ABORT, 'a revocation is for good');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER revocation_kept BEFORE DELETE ON revocation
BEGIN
    SELECT RAISE(ABORT, 'a revocation is for good');
END;
-- +goose StatementEnd
