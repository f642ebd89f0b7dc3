-- +goose Up
CREATE TABLE counter (
    name  TEXT   NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO counter (name, value) VALUES ('revocation', 0);

CREATE TABLE revocation (
    number  BIGINT NOT NULL PRIMARY KEY,
    scope   TEXT   NOT NULL CHECK (scope IN ('grant', 'case', 'subject', 'everything')),
    name    TEXT   NOT NULL,
    reason  TEXT   NOT NULL,
    actor   TEXT   NOT NULL,
    made_at BIGINT NOT NULL,
    CHECK ((scope = 'everything') = (name = ''))
);

-- +goose StatementBegin
CREATE FUNCTION revocation_is_for_good() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a revocation is for good' USING ERRCODE = 'restrict_violation';
END $$;
-- +goose StatementEnd
CREATE TRIGGER revocation_unchanged BEFORE UPDATE OR DELETE OR TRUNCATE ON revocation
    FOR EACH STATEMENT EXECUTE FUNCTION revocation_is_for_good();

CREATE TABLE gate_instance (
    id      TEXT   NOT NULL PRIMARY KEY,
    applied BIGINT NOT NULL,
    seen_at BIGINT NOT NULL,
    version BIGINT NOT NULL
);
