"""The gateway: the request path from a caller to a replica, and back with the request's cost written down.

A request's life, and the file to open for each step:

1. `server.py` accepts the connection; `reader.py` turns bytes into a request, or refuses what is ambiguous or
   too large, and knows a head that comes again (`same_head.py`); `caller.py` hands it on as soon as its head is
   here, and gives up on callers who are too slow.
2. `gateway.py` lets it in: health is for everybody, all else for those who show who they are.
3. `open_inference.py` reads from the path what is asked for, `openai.py` from the body, `wishes.py` from headers
   which version; the service is in the table of `routes.py`, which follows the store and stands while that is gone.
   While two versions are in use, `releases.py` says which one the request is for.
4. `desk.py` takes it: `admission.py` reserves what it may take (`reckoning.py`) of the limits it comes under
   (`terms.py`, `purses.py`), and `answers.py` answers it if it was answered before (`kept_answer.py`). Else
   `forward.py` says what a replica is sent; `tries.py` has a policy (`policy/balance/`) pick one among those that
   `health.py` has not put out and that do not stand by, and waits a while when there is none.
5. `endpoint.py` sends it over a kept connection (`upstream.py`) and waits for the reply (`reply_reader.py`,
   `reply.py`), or for its beginning if it comes in pieces.
6. When that fails, `tries.py` tries elsewhere, or beside it when it takes long (`hedge.py`): nothing has reached the
   caller yet. What failed counts against the replica, which comes back when it answers the checks of `checks.py`.
7. `caller.py` writes the answer, at the pace at which the caller reads it. What comes in pieces passes `relay.py`,
   which has another replica go on when one breaks off in the middle (`resume.py`).
8. `shadow.py` sends a copy to a version that is tried out, if there is one.
9. `gateway.py` settles what was reserved, counts it (`metrics.py`) and writes down its usage (`journal.py`), whatever
   came of it. What a gateway that was killed had in hand, `recovery.py` finds in its journal.

Beside all this `pulse.py` tells the control plane how many requests there are, and what came of those in a trial.

Here is no tensor and no secret, and nothing is decided about which replicas there should be. The
room is a library: `app/gateway.py` gives a `Gateway` its store, its identities and its journal, and awaits `serve`.
"""
