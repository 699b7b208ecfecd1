"""Metrics: one file each, with `OF` (what has to be predicted: a task's `PREDICTS`), `HIGHER_IS_BETTER` and one
function `measure(predictions) -> float`.

`predictions` is a `modelhall.tasks.Predictions` with the truth. The file's name is what `require` calls it.
"""
