-- +goose Up
INSERT INTO counter (name, value) VALUES ('house', 0);

CREATE TABLE organisation (
    who        BLOB NOT NULL PRIMARY KEY,
    look       BLOB NOT NULL UNIQUE,
    title_look BLOB NOT NULL UNIQUE,
    sealed     BLOB NOT NULL
) STRICT;

CREATE TABLE person (
    who          BLOB    NOT NULL PRIMARY KEY,
    organisation BLOB    NOT NULL REFERENCES organisation (who),
    look         BLOB    NOT NULL UNIQUE,
    version      INTEGER NOT NULL,
    sealed       BLOB    NOT NULL
) STRICT;
CREATE INDEX person_organisation ON person (organisation);

CREATE TABLE token (
    id      TEXT    NOT NULL PRIMARY KEY,
    hash    TEXT    NOT NULL UNIQUE,
    person  BLOB    NOT NULL REFERENCES person (who),
    version INTEGER NOT NULL,
    sealed  BLOB    NOT NULL
) STRICT;
CREATE INDEX token_person ON token (person);

CREATE TABLE approval (
    id      TEXT    NOT NULL PRIMARY KEY,
    about   BLOB    NOT NULL,
    version INTEGER NOT NULL,
    sealed  BLOB    NOT NULL
) STRICT;
CREATE INDEX approval_about ON approval (about);

CREATE TABLE setup (
    hash    TEXT    NOT NULL PRIMARY KEY,
    made_at INTEGER NOT NULL,
    used_at INTEGER NOT NULL
) STRICT;
