-- +goose Up
CREATE TABLE review (
    id      TEXT    NOT NULL PRIMARY KEY,
    version INTEGER NOT NULL,
    sealed  BLOB    NOT NULL
) STRICT;

CREATE TABLE review_party (
    review TEXT NOT NULL REFERENCES review (id),
    who    BLOB NOT NULL,
    PRIMARY KEY (who, review)
) STRICT;

CREATE TABLE rules (
    digest TEXT NOT NULL PRIMARY KEY,
    body   TEXT NOT NULL
) STRICT;

CREATE TABLE entry (
    stream     TEXT    NOT NULL,
    seq        INTEGER NOT NULL,
    made_at    INTEGER NOT NULL,
    commitment BLOB    NOT NULL,
    sealed     BLOB    NOT NULL,
    leaf_index INTEGER,
    PRIMARY KEY (stream, seq)
) STRICT;
CREATE INDEX entry_waiting ON entry (made_at, stream, seq) WHERE leaf_index IS NULL;
CREATE UNIQUE INDEX entry_placed ON entry (leaf_index) WHERE leaf_index IS NOT NULL;

-- +goose StatementBegin
CREATE TRIGGER entry_unchanged BEFORE UPDATE ON entry
WHEN OLD.leaf_index IS NOT NULL OR OLD.commitment <> NEW.commitment OR OLD.sealed <> NEW.sealed OR OLD.seq <> NEW.seq OR OLD.stream <> NEW.stream
BEGIN
    SELECT RAISE(ABORT, 'an entry is for good');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER entry_kept BEFORE DELETE ON entry
BEGIN
    SELECT RAISE(ABORT, 'an entry is for good');
END;
-- +goose StatementEnd

CREATE TABLE request (
    who     BLOB    NOT NULL,
    name    BLOB    NOT NULL,
    digest  TEXT    NOT NULL,
    stream  TEXT    NOT NULL,
    seq     INTEGER NOT NULL,
    made_at INTEGER NOT NULL,
    PRIMARY KEY (who, name)
) STRICT;
