-- +goose Up
-- What a list shows of a case is sealed under the case's own key; 0 is under the house's, until the house opens next.
ALTER TABLE review ADD COLUMN own_key INTEGER NOT NULL DEFAULT 0;
CREATE INDEX review_of_the_house ON review (id) WHERE own_key = 0;
