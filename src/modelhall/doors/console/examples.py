"""Hall files to begin with, in the editor. Each is one that works: a test reads them all."""

from __future__ import annotations

EXAMPLES = {
    "digits": """\
kind: dataset
name: digits
source: package://sklearn/datasets/data/digits.csv.gz
format: {header: false}
prepare:
  - pixels: {columns: column_1..column_64, shape: [8, 8], white: 16}
  - split: {train: 0.8, validation: 0.1, test: 0.1, seed: 7, stratify: column_65}
---
kind: model
name: digits
task: image-classification
data: digits
columns: {label: column_65}
network: {family: cnn, channels: [16, 32]}
train: {epochs: 12, batch: 32, learning_rate: 3e-3, seed: 1}
require: {accuracy: ">= 0.95"}
---
kind: service
name: digits
model: digits
replicas: 2
""",
    "command": """\
kind: run
name: hello
command: [python3, -c, "print('hello from the hall')"]
resources: {cpus: 1}
""",
    "project": """\
kind: user
name: anna
email: anna@example.org
---
kind: project
name: research
description: Models that read reviews
members: {anna: editor}
budget: 100/month
""",
}
