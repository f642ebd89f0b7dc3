-- +goose Up
-- What a list of cases is ordered by (docket.Summary.Urgency); 0 until it is worked out, as the house opens.
ALTER TABLE review_party ADD COLUMN urgency INTEGER NOT NULL DEFAULT 0;
CREATE INDEX review_party_list ON review_party (who, urgency, review);
CREATE INDEX review_party_unordered ON review_party (review) WHERE urgency = 0;
