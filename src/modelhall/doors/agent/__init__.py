"""The agent of a node: a small process on a machine that is not the hall's own, which starts what the hall asks.

It calls the hall and is called by nobody. Programs run under the same supervisors as on the hall's own machine
(`adapters/launcher/process.py`), so they outlive it, and an agent that starts again goes on with them.

`home.py` is what it keeps, `worker.py` what it does, `moving.py` how files come and go, `line.py` how it calls.
"""
