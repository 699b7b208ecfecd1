"""Sensors: what a machine tells of itself. Port: `core.ports.sensor`. Each file has `open_sensor(home)`."""
