"""The ports: what the hall asks of the world, as protocols. Adapters answer, one folder a port."""
