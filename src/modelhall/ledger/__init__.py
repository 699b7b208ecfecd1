"""Use → joules → carbon → money, entered once and never changed.

This room is told what was used: processor time by readings, requests by the gateway's journals. How it is
measured is left to launchers and meters, where entries are kept to the book, how a bill looks to the doors.
"""
