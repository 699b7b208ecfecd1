"""Stores: where resources live. Port: `core.ports.store`."""
