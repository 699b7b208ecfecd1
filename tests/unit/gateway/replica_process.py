"""A replica in a process of its own, to be killed and stopped. Prints its address and answers everything."""

from __future__ import annotations

import asyncio

from stand_ins import StandIn


async def main() -> None:
    replica = await StandIn("process").start()
    print(replica.address, flush=True)  # noqa: T201 - how the test learns it
    await asyncio.Event().wait()


asyncio.run(main())
