"""Metrics: one file each, with `OF` (what has to be predicted: one of a task's `PREDICTS`), `HIGHER_IS_BETTER`
and one function `measure(predictions) -> float`; and, if they are of `texts`, `NEEDS`: the libraries that the extra
`text` brings.

`predictions` is a `modelhall.tasks.Predictions` with the truth. The file's name is what `require` calls it.
"""
