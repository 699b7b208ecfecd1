"""The one floor where the concrete parts meet: which store, which launcher, which meter, which book.

Two programs are put together here: the control plane (`hall`) and the gateway (`gateway`), which stays small and
shares with the other only the home. Doors are given a `Hall` and know nothing of what it is made of.
"""
