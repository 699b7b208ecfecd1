"""Decisions without I/O: pure functions of facts. No clock, no network, no store; whoever calls supplies all."""
