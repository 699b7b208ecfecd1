"""Settings: one frozen object, from `hall.toml` in the home and from the environment, which wins.

The only reader of the environment. `MODELHALL_PUE=1.3` sets `pue`; `hall.toml` holds the same names.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError

from modelhall.core.alerts import Rule
from modelhall.core.errors import Rejected
from modelhall.core.kinds.base import Frozen
from modelhall.core.names import did_you_mean
from modelhall.core.ports.source import Limits, Networks, Reach, SourceRules
from modelhall.core.tariff import Tariff, zone

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
    "MODELHALL_VLLM",
)
"""What programs that the hall starts see of its own environment."""
OF_RAY = "RAY_"
"""How the variables begin that tell Ray how a cluster is reached, such as RAY_AUTH_MODE and RAY_AUTH_TOKEN_PATH."""
GATHERED = ("environment", "ray_environment")
"""Settings that nobody sets: what is passed on."""

FOR_THE_GATEWAY = (
    "store",
    "seal",
    "root_key",
    "host",
    "hosts",
    "tls",
    "tls_certificate",
    "tls_key",
    "gateway_allow",
    "gateway_deny",
    "rate_per_token",
    "rate_per_address",
    "cache",
    "traces",
    "price_per_request",
    "price_per_million_in",
    "price_per_million_out",
)
"""What the gateway process is told in its environment, where it did not come from `hall.toml`."""


def _split(value: Any) -> Any:
    """A list, which the environment has as words with commas between them."""
    return [word.strip() for word in value.split(",") if word.strip()] if isinstance(value, str) else value


def _with_zone(name: str) -> str:
    zone(name)
    return name


TimeZone = Annotated[str, AfterValidator(_with_zone)]
Words = Annotated[tuple[str, ...], BeforeValidator(_split)]
Ports = Annotated[tuple[int, ...], BeforeValidator(_split)]


class Settings(Frozen):
    """Everything about a hall that is not declared in a hall file."""

    home: Path = Field(description="Holds everything the hall keeps.")
    port: int = Field(
        default=7070, ge=0, le=65535, description="Control API and console; 0 takes a free one."
    )
    gateway_port: int = Field(default=7080, ge=0, le=65535, description="Gateway; 0 takes a free one.")
    schedule: str = Field(default="fair", description="A file in modelhall/policy/schedule.")
    placement: str = Field(default="fragmentation", description="A file in modelhall/policy/placement.")
    store: str = Field(default="", description="URL of the store; a SQLite file in the home if not given.")
    sign: bool = Field(
        default=True, description="Whether model versions are signed, and only signed ones are served."
    )
    seal: bool = Field(default=True, description="Whether blobs and secrets are encrypted where they lie.")
    root_key: str = Field(
        default="", description="Where the key under all others comes from; a file in the home if not given."
    )
    root_key_before: str = Field(
        default="", description="Where the root key came from before, at the start that changes it."
    )
    cache: str = Field(
        default="memory://", description="URL of where answers are kept: memory, Redis, Valkey or Memcached."
    )
    traces: str = Field(
        default="", description="URL of a collector of OpenTelemetry's traces; there are none if not given."
    )
    metrics: str = Field(
        default="", description="URL of a collector of OpenTelemetry's metrics; none are sent if not given."
    )
    settle_s: float = Field(default=5.0, gt=0, description="Seconds between entries in the ledger.")
    look_s: float = Field(
        default=10.0, ge=1, le=3600, description="Seconds between looks at nodes, runs and services."
    )
    history_bytes: int = Field(
        default=64 * 2**20, ge=2**20, description="About the most that their history takes of the disk."
    )
    alerts: tuple[Rule, ...] = Field(
        default=(), description="In hall.toml: rules besides those that are on, or in their place."
    )
    power_limit_w: float | None = Field(
        default=None, gt=0, description="Watts of a node beyond which somebody is told."
    )
    alert_webhook: SecretStr | None = Field(default=None, description="URL that alerts are posted to.")
    alert_email_to: Words = Field(default=(), description="Addresses that alerts are sent to.")
    alert_email_from: str = Field(default="modelhall@localhost", description="Who they come from.")
    alert_email_server: str = Field(
        default="", pattern=r"^([^:\s]+:\d+)?$", description="host:port of the mail server."
    )
    alert_email_user: str = Field(default="", description="Who the hall is there, if it has to sign in.")
    alert_email_password: SecretStr | None = Field(default=None, description="Its password there.")

    host: str = Field(default="127.0.0.1", min_length=1, description="The address both doors listen on.")
    hosts: Words = Field(
        default=(), description="More names under which the hall is asked, such as a proxy's."
    )
    tls: Literal["auto", "on"] = Field(
        default="auto", description="`on`: also on loopback; elsewhere it is always spoken."
    )
    tls_certificate: Path | None = Field(default=None, description="PEM, in place of the hall's own.")
    tls_key: Path | None = Field(default=None, description="PEM, of that certificate.")
    address: str = Field(default="", description="For clients: the address of the API of a hall elsewhere.")
    gateway_address: str = Field(default="", description="For clients: the address of its gateway.")
    token: SecretStr | None = Field(default=None, description="For clients: the token they show.")
    join: SecretStr | None = Field(
        default=None, description="For a machine that joins a hall: the ticket it joins with."
    )
    ray: str = Field(
        default="",
        description="Address of a Ray cluster whose nodes are the hall's, too: host:port or ray://…",
    )
    ray_hall: str = Field(
        default="", description="URL at which those nodes reach the hall, if not the one it tells."
    )
    ca: Path | None = Field(
        default=None, description="For clients, and nodes of Ray: PEM of the authority of the hall they ask."
    )
    api_allow: Words = Field(default=(), description="Networks that may reach the API; all if not given.")
    api_deny: Words = Field(default=(), description="Networks that may not, whatever is allowed.")
    gateway_allow: Words = Field(default=(), description="Networks that may reach the gateway.")
    gateway_deny: Words = Field(default=(), description="Networks that may not.")
    rate_per_token: float = Field(default=10_000, gt=0, description="Requests a second at one door.")
    rate_per_address: float = Field(default=10_000, gt=0, description="Requests a second at one door.")
    token_addresses: int = Field(
        default=16, ge=1, description="A token used from more addresses within five minutes is revoked."
    )

    slurm_partitions: Words = Field(
        default=(), description="Partitions of a Slurm cluster whose nodes are used; no Slurm if not given."
    )
    slurm_conf: Path | None = Field(
        default=None, description="Slurm's configuration, if its commands do not find it by themselves."
    )
    slurm_options: Words = Field(default=(), description="More words for sbatch, such as --account=research.")

    oidc_issuer: str = Field(
        default="", description="URL of the provider of single sign-on; there is none if not given."
    )
    oidc_client_id: str = Field(default="", description="What the provider knows this hall by.")
    oidc_client_secret: str = Field(
        default="",
        description="Where its secret is: the path of a file, or the name of a secret of `default`.",
    )
    oidc_callback: str = Field(
        default="", description="Where the provider sends people back to, if not to the address they came to."
    )
    oidc_create: bool = Field(
        default=False, description="Whether whoever the provider vouches for becomes a user."
    )

    source_networks: Annotated[Networks, BeforeValidator(_split)] = Field(
        default=(), description="Private networks that sources may be fetched from, such as 10.1.0.0/16."
    )
    source_ports: Ports = Field(default=Reach().ports, description="Ports that sources may be fetched from.")
    s3_endpoint: str = Field(default="", description="URL of what speaks S3; Amazon's own if not given.")
    hf_mirror: str = Field(default="", description="A folder laid out as the cache of the Hugging Face hub.")
    hf_endpoint: str = Field(
        default="", description="URL of the Hugging Face hub; it is not asked if not given."
    )
    source_download_bytes: int = Field(
        default=Limits().download_bytes, gt=0, description="The most that is fetched for one source."
    )
    source_unpacked_bytes: int = Field(
        default=Limits().unpacked_bytes, gt=0, description="The most that one archive may unpack to."
    )
    source_unpacked_ratio: float = Field(
        default=Limits().unpacked_ratio, gt=1, description="And how many times its size."
    )
    source_members: int = Field(default=Limits().members, gt=0, description="The most files in one archive.")
    source_line_bytes: int = Field(default=Limits().line_bytes, gt=0, description="The longest line of text.")
    source_whole_bytes: int = Field(
        default=Limits().whole_bytes, gt=0, description="The largest file that can only be read as a whole."
    )

    currency: str = Field(default="EUR", pattern=r"^[A-Z]{3}$", description="ISO 4217 code of the prices.")
    price_per_cpu_hour: float = Field(default=0.03, ge=0, description="Price of an hour of processor time.")
    price_per_gpu_hour: float = Field(
        default=1.50,
        ge=0,
        description="Price of an hour in which a GPU is held; of a part of one, that part.",
    )
    gpu_prices: dict[str, Annotated[float, Field(ge=0)]] = Field(
        default_factory=dict, description="The same for GPUs of some types, such as {H100 = 3.10}."
    )
    price_per_kwh: float = Field(default=0.30, ge=0, description="Price of electricity.")
    price_per_gb_month: float = Field(
        default=0.0, ge=0, description="Price of keeping a gigabyte of blobs for a month."
    )
    price_per_request: float = Field(
        default=0.0, ge=0, le=1e6, description="What a request is charged at least."
    )
    price_per_million_in: float = Field(
        default=0.0, ge=0, le=1e6, description="What a million tokens read are charged at least."
    )
    price_per_million_out: float = Field(
        default=0.0, ge=0, le=1e6, description="What a million tokens told are charged at least."
    )
    co2_g_per_kwh: float = Field(default=400.0, ge=0, description="Grams of CO2e for a kilowatt hour.")
    pue: float = Field(default=1.0, ge=1, le=10, description="What the building draws for a watt of machine.")
    tariffs: tuple[Tariff, ...] = Field(
        default=(), description="In hall.toml: prices of electricity that hold at some hours."
    )
    timezone: TimeZone = Field(default="UTC", description="Whose hours tariffs are told in.")
    carbon_file: Path | None = Field(
        default=None, description="CSV: instants, and the grams of CO2e for a kilowatt hour from then on."
    )
    busy_w: float | None = Field(
        default=None, ge=0, description="Watts of a busy processor; by what processor it is if not given."
    )
    idle_w: float | None = Field(
        default=None, ge=0, description="Watts of a processor that is held and does nothing."
    )

    environment: dict[str, str] = Field(default_factory=dict, description="Passed on to programs.")
    ray_environment: dict[str, str] = Field(
        default_factory=dict, repr=False, description="Passed on to the process that speaks with Ray."
    )
    failpoints: str = Field(default="", description="Where to die, for tests: see `core.failpoints`.")

    @property
    def blobs(self) -> str:
        """URL of the blobs; each project's are below it, under the project's name."""
        return f"folder://{self.home / 'blobs'}"

    @property
    def source_rules(self) -> SourceRules:
        """The operator's word on sources."""
        limits = {name: getattr(self, f"source_{name}") for name in Limits.model_fields}
        reach = Reach(
            networks=self.source_networks, ports=self.source_ports, s3_endpoint=self.s3_endpoint,
            hf_mirror=self.hf_mirror, hf_endpoint=self.hf_endpoint,
        )  # fmt: skip
        return SourceRules(limits=Limits(**limits), reach=reach)

    @property
    def store_url(self) -> str:
        """URL of the store."""
        return self.store or f"sqlite://{self.home / 'hall.db'}"

    @property
    def for_the_gateway(self) -> dict[str, str]:
        """What the gateway process finds in its environment: not among its arguments, which everybody can see."""
        given = {name: getattr(self, name) for name in FOR_THE_GATEWAY if name in self.model_fields_set}
        return {
            f"{PREFIX}{name.upper()}": ",".join(value) if isinstance(value, tuple) else str(value)
            for name, value in given.items()
            if value is not None
        }

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
        if name not in ("home", "environment", "ray_environment")
        and (variable := f"{PREFIX}{name.upper()}") in environment
    }
    passed = {name: environment[name] for name in PASSED_ON if name in environment}
    for_ray = {name: environment[name] for name in environment if name in passed or name.startswith(OF_RAY)}
    said = {**in_file, **in_environment, **chosen}
    try:
        return Settings.model_validate(
            {**said, "home": home, "environment": passed, "ray_environment": for_ray}
        )
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
