-- +goose Up
-- A project's findings. Its events are entries of the stream that has its id; work says that the desk may have something to do.
CREATE TABLE project (
    id      TEXT   NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL,
    work    BIGINT NOT NULL,
    sealed  BYTEA  NOT NULL
);
CREATE INDEX project_work ON project (id) WHERE work = 1;

-- The names of findings, patches and packets, and the project that each is in. who is the organisation that brought it.
CREATE TABLE named (
    id      TEXT   NOT NULL PRIMARY KEY,
    kind    TEXT   NOT NULL,
    project TEXT   NOT NULL REFERENCES project (id),
    who     BYTEA  NOT NULL,
    seq     BIGINT NOT NULL,
    made_at BIGINT NOT NULL
);
CREATE INDEX named_made ON named (kind, made_at, id);
CREATE INDEX named_who ON named (kind, who, made_at, id);
CREATE INDEX named_project ON named (project, seq);
