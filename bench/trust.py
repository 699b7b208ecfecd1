"""What it costs to know who is asking.

    python bench/trust.py [--quick]

Prints a table and, last, one JSON object, in microseconds of processor time, of a directory of 10,000 tokens of 1,000
users who are members of 200 projects:

- `token_check_us`: a token that is known, such as both doors check with every request;
- `stranger_us`: one that nobody has;
- `first_check_us`: the first check of a token after anything about tokens, users or projects has changed;
- `change_us`: to take in a token that was rotated.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Callable

from modelhall.core.errors import Denied
from modelhall.core.kinds import KINDS, AnyResource
from modelhall.core.kinds.token import Token, TokenResource, TokenStatus
from modelhall.trust.directory import Directory
from modelhall.trust.issuing import new_secret

KEY = b"k" * 32
TOKENS, USERS, PROJECTS = 10_000, 1_000, 200
ROUNDS = 20


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="fewer checks")
    checks = 1_000 if parser.parse_args().quick else 10_000
    figures = _measure(checks)
    for figure, value in figures.items():
        print(f"{figure:>16} {value:8.1f}")
    print(json.dumps(figures))


def _measure(checks: int) -> dict[str, float]:
    directory = Directory(KEY, None, time.time)
    tokens, headers = _tokens()
    directory.start([*tokens, *_surroundings()])
    taken, shown = itertools.cycle(tokens), itertools.cycle(headers)

    def change() -> None:
        token = next(taken)
        directory.take_in(token.key, token)

    def first_check() -> None:
        directory.take_in(tokens[0].key, tokens[0])
        directory.authenticate(next(shown))

    change_us = _each_us(change, checks)
    first_us = _each_us(first_check, checks // 10) - change_us
    for header in headers:
        directory.authenticate(header)
    return {
        "token_check_us": _each_us(lambda: directory.authenticate(next(shown)), checks),
        "stranger_us": _each_us(lambda: _stranger(directory), checks),
        "first_check_us": first_us,
        "change_us": change_us,
    }


def _tokens() -> tuple[list[TokenResource], list[bytes]]:
    made, headers = [], []
    for number in range(TOKENS):
        secret = new_secret(KEY)
        document = Token(name=f"t{number}", user=f"u{number % USERS}", scopes=("see", "use"), expires_at=1e12)
        status = TokenStatus(state="active", credentials=(secret.credential,))
        made.append(TokenResource(document=document, status=status, uid="t", created_at=0.0, updated_at=0.0))
        headers.append(f"Bearer {secret.token}".encode())
    return made, headers


def _surroundings() -> list[AnyResource]:
    users = [_resource("user", name=f"u{number}") for number in range(USERS)]
    of_each = [
        {f"u{(number * 7 + more) % USERS}": "editor" for more in range(20)} for number in range(PROJECTS)
    ]
    return users + [
        _resource("project", name=f"p{number}", members=of_each[number]) for number in range(PROJECTS)
    ]


def _resource(kind: str, **document: object) -> AnyResource:
    made = KINDS[kind].document.model_validate(document)
    status = KINDS[kind].status()
    return KINDS[kind].resource(document=made, status=status, uid=made.name, created_at=0.0, updated_at=0.0)


def _stranger(directory: Directory) -> None:
    try:
        directory.authenticate(b"Bearer mh_" + b"z" * 43)
    except Denied:
        return
    raise AssertionError("a stranger was let in")


def _each_us(act: Callable[[], object], times: int) -> float:
    """The best of a few rounds: what else the machine does is not what is measured."""
    rounds = []
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(times):
            act()
        rounds.append((time.process_time() - began) / times)
    return min(rounds) * 1e6


if __name__ == "__main__":
    main()
