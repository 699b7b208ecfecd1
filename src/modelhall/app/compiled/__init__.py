"""The request path as machine code: the gateway's own files, compiled by mypyc, where somebody has done so.

    python -m modelhall.app.compiled.build            # compile; needs mypyc and a C compiler, and takes a minute
    python -m modelhall.app.compiled MODULE …         # as `python -m MODULE …`, over what was compiled

The sources stay plain Python and say the same in both forms. What was compiled lies apart from them and is used by
the process that asks for it, and only while it is of these very sources and this Python: nobody who edits a file runs
an old one. `sources.py` says what is compiled, `build.py` makes it, `finder.py` has it imported.
"""
