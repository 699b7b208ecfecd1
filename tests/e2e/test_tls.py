"""Both doors over TLS, and what keeps strangers out, with real processes."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from real_hall import RealHall, said, until

from modelhall import Hall
from modelhall.core.errors import HallError, Rejected
from modelhall.trust import tls
from modelhall.trust.certificates import DAY_S, make, renew

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def hall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealHall]:
    """A hall that speaks TLS on loopback, by certificates of its own."""
    home = tmp_path_factory.mktemp("tls") / "home"
    real = RealHall(home)
    made = said(["tls", "init", "--home", str(home), "--name", "hall.test"])
    assert made.code == 0, made.err
    (home / "hall.toml").write_text('tls = "on"\n')
    try:
        yield real.up()
    finally:
        real.end()


def get(hall: RealHall, door: str, path: str, **more: object) -> httpx.Response:
    """From one door, with the hall's authority if nothing else is said."""
    authority = tls.client_context(hall.home / tls.FOLDER / tls.CA)
    asked = {"verify": authority, "trust_env": False, **more}
    return httpx.get(hall.addresses[door] + path, **asked)  # type: ignore[arg-type]


def test_both_doors_speak_tls_and_the_command_line_finds_its_way(hall: RealHall) -> None:
    assert all(address.startswith("https://") for name, address in hall.addresses.items() if name != "pid")
    assert get(hall, "address", "/api/v1/health").status_code == 200
    assert get(hall, "gateway", "/v2/health/live").status_code == 200
    assert hall.command("status", "-o", "json").code == 0
    with hall.client as client:
        assert client.status()["leads"]
    shown = said(["tls", "show", "--home", str(hall.home), "-o", "json"])
    assert '"hall.test"' in shown.out


@pytest.mark.parametrize("door", ["address", "gateway"])
def test_whoever_does_not_have_the_authority_is_warned_off(hall: RealHall, door: str, tmp_path: Path) -> None:
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        get(hall, door, "/", verify=True)
    make(tmp_path, [], time.time())
    stranger = Hall(hall.addresses[door], token=hall.token, ca=tmp_path / tls.CA)
    with stranger, pytest.raises(Rejected, match=r"can be trusted .*MODELHALL_CA"):
        stranger.status()


def test_the_command_line_takes_the_authority_from_its_environment(hall: RealHall, tmp_path: Path) -> None:
    make(tmp_path, [], time.time())
    words = ["status", "--home", str(hall.home)]
    wrong = said(words, more={"MODELHALL_CA": str(tmp_path / tls.CA)})
    assert (wrong.code, len(wrong.complaints)) == (2, 1)
    right = said(words, more={"MODELHALL_CA": str(hall.home / tls.FOLDER / tls.CA)})
    assert right.code == 0


@pytest.mark.parametrize("door", ["address", "gateway"])
def test_plain_http_on_a_tls_port_is_refused_in_plain_words(hall: RealHall, door: str) -> None:
    address = hall.addresses[door].replace("https://", "http://")
    answer = httpx.get(f"{address}/api/v1/health", trust_env=False)
    assert (answer.status_code, answer.text) == (400, "this port speaks TLS; ask it with https://\n")


@pytest.mark.parametrize("door", ["address", "gateway"])
def test_a_name_that_somebody_else_made_point_here_leads_nowhere(hall: RealHall, door: str) -> None:
    path = "/api/v1/health" if door == "address" else "/v2/health/live"
    assert get(hall, door, path, headers={"host": "evil.test"}).status_code == 421
    assert get(hall, door, path, headers={"host": "hall.test"}).status_code == 200


def test_a_certificate_that_is_over_is_refused_and_a_renewed_one_is_shown_without_a_restart(
    hall: RealHall,
) -> None:
    folder = hall.home / tls.FOLDER
    renew(folder, None, time.time() - 398 * DAY_S)
    until(lambda: "expired" in _trouble(hall), "the certificate that is over to be shown")
    again = said(["tls", "renew", "--home", str(hall.home)])
    assert again.code == 0, again.err
    until(lambda: not _trouble(hall), "the renewed certificate to be shown")
    until(lambda: get(hall, "gateway", "/v2/health/live").is_success, "the gateway to show it too")


def test_guessing_at_the_gateway_locks_the_address_at_both_doors_but_not_its_owner(hall: RealHall) -> None:
    guesses = itertools.count()

    def is_locked_at_the_other() -> bool:
        get(hall, "gateway", "/v2", headers={"authorization": f"Bearer guess-{next(guesses)}"})
        found = get(hall, "address", "/api/v1/status", headers={"authorization": "Bearer another"})
        return found.status_code == 429 and int(found.headers["retry-after"]) > 600

    until(is_locked_at_the_other, "the API to lock whoever guesses at the gateway")
    assert hall.command("status").code == 0


def _trouble(hall: RealHall) -> str:
    try:
        with hall.client as client:
            client.status()
    except HallError as error:
        return str(error)
    return ""


def test_elsewhere_than_on_loopback_a_hall_without_tls_refuses_to_start(tmp_path: Path) -> None:
    refused = said(["up", "--home", str(tmp_path / "home"), "--host", "0.0.0.0", "--port", "0"])
    assert refused.code == 2
    (line,) = refused.complaints
    assert "hall tls init" in line
    assert not (tmp_path / "home" / "gateway.json").exists()


def test_a_network_that_is_denied_does_not_get_a_byte(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "hall.toml").write_text('host = "127.0.0.2"\ngateway_deny = ["127.0.0.0/8"]\n')
    real = RealHall(home)
    with contextlib.ExitStack() as stack:
        stack.callback(real.end)
        real.up()
        assert real.addresses["address"].startswith("http://127.0.0.2:")
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{real.addresses['gateway']}/v2/health/live", trust_env=False)
