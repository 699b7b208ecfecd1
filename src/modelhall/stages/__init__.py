"""The programs runs execute: prepare, train, evaluate. Each reads one order and puts its result into the blobs.

A stage is a package with a function `carry_out(order, reporter)` and a `__main__`. Stages do not import each
other; what one leaves, the next finds in the blobs. Who starts them, where and when is decided elsewhere.
"""
