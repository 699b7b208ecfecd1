"""What the fixtures of these tests are: files by their names in, rows or one error out."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from modelhall.core.errors import HallError

Read = Callable[..., pl.DataFrame]
Refused = Callable[..., HallError]
