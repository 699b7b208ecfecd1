"""Training by several processes, on one node or several, that loses nothing when one of them is killed.

    leader ── forks the workers of its node, hears of them by a pipe each, has those that are at hand form a group
      ├── worker 0 ─┐
      ├── worker 1 ─┤ every one holds the whole state; a step's rows are split, gradients are added up (`shards`)
      └┄ worker 2 ──┘ lent by another node: forked there by a `lender`, it dials in (`dialling`) and is one of them

`leader` starts, watches and replaces; it imports what workers need and does nothing else, so that a new worker is a
fork away. `workers` is what leader and lender know of each, `signs` how a hung one is told from one that waits.
`member` is a worker's life. `group` is those who are at work together (torch.distributed), who find each other by a
`meeting`, until one of them is gone: then all who are left come to hand with the state of the step they have
finished, and the one who is furthest tells it to the others. `held_up` gets those out who were not told that one is
gone. `post` is what leader and workers say to each other. What is learnt is left to `loop`, where workers are to
`control/gangs`.
"""
