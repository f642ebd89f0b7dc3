-- +goose Up
CREATE TABLE review (
    id      TEXT   NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL,
    sealed  BYTEA  NOT NULL
);

CREATE TABLE review_party (
    review TEXT  NOT NULL REFERENCES review (id),
    who    BYTEA NOT NULL,
    PRIMARY KEY (who, review)
);

CREATE TABLE rules (
    digest TEXT NOT NULL PRIMARY KEY,
    body   TEXT NOT NULL
);

CREATE TABLE entry (
    stream     TEXT   NOT NULL,
    seq        BIGINT NOT NULL,
    made_at    BIGINT NOT NULL,
    commitment BYTEA  NOT NULL,
    sealed     BYTEA  NOT NULL,
    leaf_index BIGINT,
    PRIMARY KEY (stream, seq)
);
CREATE INDEX entry_waiting ON entry (made_at, stream, seq) WHERE leaf_index IS NULL;
CREATE UNIQUE INDEX entry_placed ON entry (leaf_index) WHERE leaf_index IS NOT NULL;

-- +goose StatementBegin
CREATE FUNCTION entry_is_for_good() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'an entry is for good' USING ERRCODE = 'restrict_violation';
END $$;
-- +goose StatementEnd
CREATE TRIGGER entry_unchanged BEFORE UPDATE ON entry FOR EACH ROW
    WHEN (OLD.leaf_index IS NOT NULL OR OLD.commitment <> NEW.commitment OR OLD.sealed <> NEW.sealed OR OLD.seq <> NEW.seq OR OLD.stream <> NEW.stream)
    EXECUTE FUNCTION entry_is_for_good();
CREATE TRIGGER entry_kept BEFORE DELETE OR TRUNCATE ON entry
    FOR EACH STATEMENT EXECUTE FUNCTION entry_is_for_good();

CREATE TABLE request (
    who     BYTEA  NOT NULL,
    name    BYTEA  NOT NULL,
    digest  TEXT   NOT NULL,
    stream  TEXT   NOT NULL,
    seq     BIGINT NOT NULL,
    made_at BIGINT NOT NULL,
    PRIMARY KEY (who, name)
);
