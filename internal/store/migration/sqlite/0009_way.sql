-- +goose Up
-- The ways in which people sign in without a token: passkeys, and accounts elsewhere. hash is of what they are found by.
CREATE TABLE way (
    id      TEXT    NOT NULL PRIMARY KEY,
    hash    TEXT    NOT NULL UNIQUE,
    person  BLOB    NOT NULL REFERENCES person (who),
    version INTEGER NOT NULL,
    sealed  BLOB    NOT NULL
) STRICT;
CREATE INDEX way_person ON way (person);
