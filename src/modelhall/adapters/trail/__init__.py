"""Trails: where the lines of the audit log are kept. Port: `core.ports.trail`. Each file has a function
`open_trail(folder)`."""
