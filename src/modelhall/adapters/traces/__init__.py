"""Where traces are collected. Port: `core.ports.traces`. One file a system, each with a function `open_traces`."""
