"""How the doors listen: nobody can listen in from elsewhere, and what is told fits the certificate."""

from __future__ import annotations

import logging
import shutil
import time
from pathlib import Path

import pytest

from modelhall.app.doorkeeper import Doorkeeper
from modelhall.app.listening import gate_of, listening_of
from modelhall.core.errors import Rejected
from modelhall.settings import Settings
from modelhall.trust import tls
from modelhall.trust.certificates import DAY_S, make
from modelhall.twin.clock import VirtualClock

NOW = time.time()


def in_home(home: Path, **given: object) -> Settings:
    return Settings.model_validate({"home": home, **given})


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "2001:db8::1"])
def test_elsewhere_than_on_loopback_nothing_is_served_without_tls(tmp_path: Path, host: str) -> None:
    with pytest.raises(Rejected, match="hall tls init") as refused:
        listening_of(in_home(tmp_path, host=host), NOW)
    assert refused.value.field == "host"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_on_loopback_plain_http_will_do(tmp_path: Path, host: str) -> None:
    make(tmp_path / tls.FOLDER, [], NOW)
    listening = listening_of(in_home(tmp_path, host=host), NOW)
    assert listening.tls is None
    assert listening.url(80).startswith("http://")


def test_tls_is_spoken_on_loopback_when_it_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="needs a certificate"):
        listening_of(in_home(tmp_path, tls="on"), NOW)
    make(tmp_path / tls.FOLDER, [], NOW)
    assert listening_of(in_home(tmp_path, tls="on"), NOW).url(7070) == "https://127.0.0.1:7070"
    assert listening_of(in_home(tmp_path, tls="on", host="::1"), NOW).url(7070) == "https://[::1]:7070"


def test_with_a_certificate_the_hall_listens_anywhere_and_tells_a_name_that_is_in_it(tmp_path: Path) -> None:
    make(tmp_path / tls.FOLDER, ["hall.test"], NOW)
    everywhere = listening_of(in_home(tmp_path, host="0.0.0.0"), NOW)
    assert (everywhere.address, everywhere.url(1)) == ("0.0.0.0", "https://127.0.0.1:1")
    assert everywhere.tls is not None
    assert listening_of(in_home(tmp_path, host="192.0.2.1"), NOW).url(1) == "https://hall.test:1"


def test_a_certificate_of_one_s_own_is_used_with_its_key(tmp_path: Path) -> None:
    made = make(tmp_path / "mine", ["hall.test"], NOW)
    key = tmp_path / "mine" / tls.SERVER_KEY
    assert listening_of(in_home(tmp_path, tls_certificate=made.path, tls_key=key), NOW).tls is not None
    with pytest.raises(Rejected, match="go together"):
        listening_of(in_home(tmp_path, tls_certificate=made.path), NOW)
    with pytest.raises(Rejected, match="cannot be used"):
        listening_of(in_home(tmp_path, tls_certificate=made.path, tls_key=made.path), NOW)


@pytest.mark.parametrize(("age_days", "says"), [(300, None), (380, "tls.ends-soon"), (400, "tls.over")])
def test_a_certificate_that_ends_soon_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, age_days: int, says: str | None
) -> None:
    make(tmp_path / tls.FOLDER, [], NOW - age_days * DAY_S)
    with caplog.at_level(logging.WARNING):
        listening_of(in_home(tmp_path, tls="on"), NOW)
    assert [record.message.split()[0] for record in caplog.records] == [says] * (says is not None)


def test_a_host_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="no address of this machine"):
        listening_of(in_home(tmp_path, host="no such host"), NOW)


def test_the_gate_knows_the_names_in_the_certificate_and_the_networks_of_its_door(tmp_path: Path) -> None:
    make(tmp_path / tls.FOLDER, ["hall.test"], NOW)
    settings = in_home(tmp_path, tls="on", hosts=["proxy.test"], api_deny=["192.0.2.0/24"])
    gate = gate_of("api", settings, clock=VirtualClock(), tell=lambda signal: None)
    for name in (b"hall.test:7070", b"proxy.test", b"127.0.0.1"):
        gate.admit("127.0.0.1", "GET", {b"host": name})
    with pytest.raises(Rejected):
        gate.admit("127.0.0.1", "GET", {b"host": b"evil.test"})
    assert not gate.lets_in("192.0.2.9")
    assert gate_of("gateway", settings, clock=VirtualClock(), tell=lambda signal: None).lets_in("192.0.2.9")


def test_a_renewed_certificate_is_shown_and_one_that_does_not_do_is_not(tmp_path: Path) -> None:
    folder = tmp_path / tls.FOLDER
    make(folder, [], NOW)
    settings = in_home(tmp_path, tls="on")
    listening = listening_of(settings, NOW)
    assert listening.tls is not None
    taken: list[Path] = []
    listening.tls.load_cert_chain = lambda certificate, key, password: taken.append(certificate)  # type: ignore
    keeper = Doorkeeper(
        tmp_path, gate_of("api", settings, clock=VirtualClock(), tell=lambda signal: None), listening
    )
    keeper.look()
    assert taken == []
    make(tmp_path / "other", [], NOW)
    shutil.copy(tmp_path / "other" / tls.SERVER, folder / tls.SERVER)  # its key is not there yet
    keeper.look()
    assert taken == []
    shutil.copy(tmp_path / "other" / tls.SERVER_KEY, folder / tls.SERVER_KEY)
    keeper.look()
    keeper.look()
    assert taken == [folder / tls.SERVER]
