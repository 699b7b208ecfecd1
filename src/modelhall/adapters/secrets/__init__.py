"""Where secrets are kept. Port: `core.ports.secrets`."""
