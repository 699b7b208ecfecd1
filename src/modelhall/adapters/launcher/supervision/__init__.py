"""The parts of the process launcher and its supervisors, one reason each: claim, epoch, log, limits, sight.

A supervisor is a small process beside every attempt, so what it loads is of the standard library alone; only
`sight`, which the hall uses, knows the types of core. Which run is started when is the control room's to decide.
"""
