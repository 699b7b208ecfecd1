"""Who may do what, and proof of what was done.

Here is decided who somebody is. Doors and the gateway ask, with what stood in the request; they know no token
and no key. Nothing here waits for anything, so that it can stand in the path of every request.
"""
