"""Meters: what work costs a machine in energy. Port: `core.ports.meter`. Each file has `open_meter()`."""
