-- +goose Up
ALTER TABLE revocation DROP CONSTRAINT revocation_scope_check;
ALTER TABLE revocation ADD CONSTRAINT revocation_scope_check CHECK (scope IN ('grant', 'case', 'subject', 'key', 'everything'));
