"""Histories: where figures are kept over time. Port: `core.ports.history`. Each file has `open_history(folder)`."""
