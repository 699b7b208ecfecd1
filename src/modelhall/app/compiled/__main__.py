"""`python -m modelhall.app.compiled MODULE …`: as `python -m MODULE …`, over the request path as it was compiled.

Where it was not, plain Python runs. Which it is, a gateway says in its `gateway.json`.
"""

from __future__ import annotations

import runpy
import sys

from modelhall.app.compiled.finder import use


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit("usage: python -m modelhall.app.compiled MODULE [ARGUMENT…]")
    use()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
