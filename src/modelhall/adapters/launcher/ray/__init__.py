"""Processes on the nodes of a Ray cluster.

On every node of the cluster an agent is at work, which an actor has put there and holds (`actors.py`): it dials in to
the hall and runs programs as on any other machine. What a program takes is reserved in Ray first, by a placement
group of its own, so that Ray and whoever else uses the cluster sees it taken.

`launcher.py` is the port, `cluster.py` what it sees of the cluster, `line.py` its line to a process of its own,
`connection.py`, which alone speaks with Ray.
"""
