-- +goose Up
CREATE TABLE counter (
    name  TEXT    NOT NULL PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT;
INSERT INTO counter (name, value) VALUES ('revocation', 0);

CREATE TABLE revocation (
    number  INTEGER NOT NULL PRIMARY KEY,
    scope   TEXT    NOT NULL CHECK (scope IN ('grant', 'case', 'subject', 'everything')),
    name    TEXT    NOT NULL,
    reason  TEXT    NOT NULL,
    actor   TEXT    NOT NULL,
    made_at INTEGER NOT NULL,
    CHECK ((scope = 'everything') = (name = ''))
) STRICT;

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

CREATE TABLE gate_instance (
    id      TEXT    NOT NULL PRIMARY KEY,
    applied INTEGER NOT NULL,
    seen_at INTEGER NOT NULL,
    version INTEGER NOT NULL
) STRICT;
