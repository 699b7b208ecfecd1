"""How secrets reach a program: by an open file that is nowhere in the file system, in no argument and no environment.

    from modelhall.core.secrets import read_secrets
    key = read_secrets()["openai-key"]

A program in another language reads the descriptor whose number is in MODELHALL_SECRETS_FD: JSON, name to value.
Where secrets are kept is left to `core.ports.secrets`.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping

VARIABLE = "MODELHALL_SECRETS_FD"


def sealed(values: Mapping[str, str]) -> int:
    """A descriptor of a file in memory that holds `values` and can no longer be changed; the caller closes it."""
    descriptor = os.memfd_create("modelhall-secrets", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(json.dumps(dict(values)).encode())
        seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def read_secrets(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The secrets this program was handed, by name; none when it was handed none. May be asked again."""
    number = environment.get(VARIABLE)
    if number is None:
        return {}
    size = os.fstat(int(number)).st_size
    # From the start, wherever somebody who shares the descriptor has read to.
    values: dict[str, str] = json.loads(os.pread(int(number), size, 0))
    return values
