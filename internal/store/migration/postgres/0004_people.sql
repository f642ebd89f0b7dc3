-- +goose Up
INSERT INTO counter (name, value) VALUES ('house', 0);

CREATE TABLE organisation (
    who        BYTEA NOT NULL PRIMARY KEY,
    look       BYTEA NOT NULL UNIQUE,
    title_look BYTEA NOT NULL UNIQUE,
    sealed     BYTEA NOT NULL
);

CREATE TABLE person (
    who          BYTEA    NOT NULL PRIMARY KEY,
    organisation BYTEA    NOT NULL REFERENCES organisation (who),
    look         BYTEA    NOT NULL UNIQUE,
    version      BIGINT NOT NULL,
    sealed       BYTEA    NOT NULL
);
CREATE INDEX person_organisation ON person (organisation);

CREATE TABLE token (
    id      TEXT    NOT NULL PRIMARY KEY,
    hash    TEXT    NOT NULL UNIQUE,
    person  BYTEA    NOT NULL REFERENCES person (who),
    version BIGINT NOT NULL,
    sealed  BYTEA    NOT NULL
);
CREATE INDEX token_person ON token (person);

CREATE TABLE approval (
    id      TEXT    NOT NULL PRIMARY KEY,
    about   BYTEA    NOT NULL,
    version BIGINT NOT NULL,
    sealed  BYTEA    NOT NULL
);
CREATE INDEX approval_about ON approval (about);

CREATE TABLE setup (
    hash    TEXT    NOT NULL PRIMARY KEY,
    made_at BIGINT NOT NULL,
    used_at BIGINT NOT NULL
);
