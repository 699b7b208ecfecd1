"""The virtual plant: the hall's own loop and policies on a virtual clock with virtual nodes.

For tests with faults, for "what if", and for planning. It decides nothing itself; whatever it shows is what the
real hall would have done.
"""
