"""Signatures of folders: one file a format, each with `sign` and `check` as `core.ports.signature` has them.

Who signs, when, and what is refused without a signature is left to the stages, the replicas and the control loop.
"""
