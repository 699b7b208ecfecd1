"""Generation in one replica: texts told token by token, as they come, by the OpenAI protocol.

A request's way: `http.py` takes it; `asked.py` checks the body against what the protocol knows and this replica can;
`chat.py` makes a prompt of messages; `worker.py` has the engine tell it among others, in a thread of its own;
`text.py` makes text of tokens and sees where it stops; `told.py` puts it into the protocol's words. Which replica is
asked, and who may ask, is the gateway's; how tokens are chosen, the engine's (`serving/engines/`).
"""
