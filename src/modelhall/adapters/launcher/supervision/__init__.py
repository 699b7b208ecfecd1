"""The parts of supervisors and of launchers that have them, one reason each: claim, epoch, log, limits, sight.

A supervisor is a small process beside every attempt, so what it loads is of the standard library alone; `record`, and
what the hall sees by it, knows the types of core. Which run is started when is the control room's to decide.
"""
