"""Settings: one frozen object, from `hall.toml` in the home and from the environment, which wins.

The only reader of the environment. `MODELHALL_PUE=1.3` sets `pue`; `hall.toml` holds the same names.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from modelhall.core.errors import Rejected
from modelhall.core.kinds.base import Frozen
from modelhall.core.names import did_you_mean

PREFIX = "MODELHALL_"
PASSED_ON = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "TZ",
    "LD_LIBRARY_PATH",
    "VIRTUAL_ENV",
    "OPENBLAS_CORETYPE",
)
"""What programs that the hall starts see of its own environment."""


class Settings(Frozen):
    """Everything about a hall that is not declared in a hall file."""

    home: Path = Field(description="Holds everything the hall keeps.")
    port: int = Field(
        default=7070, ge=0, le=65535, description="Control API and console; 0 takes a free one."
    )
    gateway_port: int = Field(default=7080, ge=0, le=65535, description="Gateway; 0 takes a free one.")
    schedule: str = Field(default="first-fit", description="A file in modelhall/policy/schedule.")
    store: str = Field(default="", description="URL of the store; a SQLite file in the home if not given.")
    settle_s: float = Field(default=5.0, gt=0, description="Seconds between entries in the ledger.")

    currency: str = Field(default="EUR", pattern=r"^[A-Z]{3}$", description="ISO 4217 code of the prices.")
    price_per_cpu_hour: float = Field(default=0.03, ge=0, description="Price of an hour of processor time.")
    price_per_kwh: float = Field(default=0.30, ge=0, description="Price of electricity.")
    co2_g_per_kwh: float = Field(default=400.0, ge=0, description="Grams of CO2e for a kilowatt hour.")
    pue: float = Field(default=1.0, ge=1, le=10, description="What the building draws for a watt of machine.")
    busy_w: float = Field(
        default=3.5, ge=0, description="Watts of a busy processor, where none are measured."
    )
    idle_w: float = Field(
        default=0.74, ge=0, description="Watts of a processor that is held and does nothing."
    )

    environment: dict[str, str] = Field(default_factory=dict, description="Passed on to programs.")
    failpoints: str = Field(default="", description="Where to die, for tests: see `core.failpoints`.")

    @property
    def blobs(self) -> str:
        """URL of the blobs."""
        return f"folder://{self.home / 'blobs'}"

    @property
    def store_url(self) -> str:
        """URL of the store."""
        return self.store or f"sqlite://{self.home / 'hall.db'}"

    @property
    def is_alone(self) -> bool:
        """Whether the lock of the home keeps every other control plane from the store."""
        return self.store_url.startswith("sqlite:")


def load(environment: Mapping[str, str] = os.environ, **given: Any) -> Settings:
    """Settings from what is given (None is not), the environment, and `hall.toml`; raises Rejected."""
    chosen = {name: value for name, value in given.items() if value is not None}
    home = Path(chosen.pop("home", None) or environment.get(f"{PREFIX}HOME") or Path.home() / ".modelhall")
    home = home.expanduser().absolute()
    in_file = _from_file(home / "hall.toml")
    in_environment = {
        name: environment[variable]
        for name in Settings.model_fields
        if name not in ("home", "environment") and (variable := f"{PREFIX}{name.upper()}") in environment
    }
    passed = {name: environment[name] for name in PASSED_ON if name in environment}
    said = {**in_file, **in_environment, **chosen}
    try:
        return Settings.model_validate({**said, "home": home, "environment": passed})
    except ValidationError as error:
        mistake = error.errors()[0]
        name = str(mistake["loc"][0])
        from_file = name in in_file and name not in in_environment and name not in chosen
        file = str(home / "hall.toml") if from_file else None
        if mistake["type"] == "extra_forbidden":
            raise Rejected(
                f"no setting {name!r}; {did_you_mean(name, Settings.model_fields)}", file=file
            ) from None
        raise Rejected(f"{mistake['msg']}, not {mistake['input']!r}", field=name, file=file) from None


def _from_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise Rejected(f"cannot be read: {error.strerror}", file=str(path)) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Rejected(f"not TOML: {error}", file=str(path)) from None
