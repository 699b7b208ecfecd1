-- From schema 4: entries tell for how long GPUs were held.
ALTER TABLE entry ADD COLUMN gpu_s REAL NOT NULL DEFAULT 0;
