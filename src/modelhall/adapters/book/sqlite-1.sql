-- From schema 1: requests for texts tell their tokens.
ALTER TABLE usage ADD COLUMN tokens_in INTEGER;
ALTER TABLE usage ADD COLUMN tokens_out INTEGER;
ALTER TABLE usage ADD COLUMN first_token_s REAL;
