"""Watching a hall: what its nodes, runs and services take and do, kept over time, and told when it calls for
somebody.

What figures mean is left to `modelhall.monitoring`, how they are read and kept to adapters.
"""
