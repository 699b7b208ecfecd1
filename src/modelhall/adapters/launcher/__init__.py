"""Launchers: who starts programs on nodes. Port: `core.ports.launcher`."""
