"""The programs runs execute: prepare, train, evaluate, compress. Each reads one order and puts its result into the
blobs.

A stage is a package with a function `carry_out(order, reporter)` and a `__main__`. Stages do not import each other,
but for compress, which trains on by the loop of train; what one leaves, the next finds in the blobs. Who starts them,
where and when is decided elsewhere.
"""
