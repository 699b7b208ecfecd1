"""The audit log: who did what to which revision, so that whoever changes it afterwards is found out.

    entry.py    one entry: what it says, and the line it is written as
    heads.py    signatures: a head stands for everything up to an entry
    chain.py    lines that follow each other: each names the digest of the one before
    proof.py    whether a whole log is what was written, and which entry is the first that is not

Pure: no file, no clock, no randomness. Where lines are kept is left to the port `core/ports/trail.py`, when they are
written and read to `app/audit/`.
"""
