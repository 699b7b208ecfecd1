"""Decisions without I/O: pure functions of facts. No clock, network or store; whoever calls supplies all."""
