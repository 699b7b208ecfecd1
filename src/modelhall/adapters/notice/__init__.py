"""Notices: how people are told of alerts. Port: `core.ports.notice`."""
