"""Training by several processes that loses nothing when one of them is killed.

    leader ── forks the workers, hears of them by a pipe each, has those that are at hand form a group
      ├── worker 0 ─┐
      ├── worker 1 ─┤ every one holds the whole state; a step's rows are split, gradients are added up (`shards`)
      └── worker 2 ─┘

`leader` starts, watches and replaces; it imports what workers need and does nothing else, so that a new worker is a
fork away. `member` is a worker's life. `group` is those who are at work together (torch.distributed), until one of
them is gone: then all who are left come to hand with the state of the step they have finished, and the one who is
furthest tells it to the others. `post` is what leader and workers say to each other, `signs` how a hung worker is
told from one that waits. What is learnt is left to `loop`.
"""
