"""The words all rooms share: kinds, ports, errors, durable files, plug-ins.

Standard library, pydantic and yaml only. No policy, no I/O beyond files this floor defines the format of,
and nothing that knows how a thing is done elsewhere.
"""
