"""Auditing: what is done in the hall is written down before it is done, and what became of it afterwards.

    auditing.py   what everybody else calls: `action` around what is done, `note` for what happened
    recorder.py   entries of many at once, in one append to the trail
    watch.py      whether what was written is still there, looked at again and again
    reading.py    pages of entries, and the proof, also where no hall is up

What an entry is, and how it is chained and signed, is in `trust/audit/`; where lines are kept, in `adapters/trail/`.
"""
