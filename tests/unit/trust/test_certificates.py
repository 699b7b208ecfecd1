"""Certificates: made, renewed, and believed by those who have the authority and by nobody else."""

from __future__ import annotations

import socket
import ssl
import stat
import threading
import time
from pathlib import Path

import pytest

from modelhall.core.errors import Rejected
from modelhall.trust import certificates, tls
from modelhall.trust.certificates import DAY_S, make, read, renew

NOW = time.time()


def shake_hands(
    folder: Path, authority: Path, name: str = "hall.test", *, client: ssl.SSLContext | None = None
) -> str:
    """A handshake over a pair of sockets; the TLS version of it. Raises ssl.SSLError."""
    serving = tls.server_context(folder / tls.SERVER, folder / tls.SERVER_KEY)
    asking = client or tls.client_context(authority)
    ours, theirs = socket.socketpair()

    def serve() -> None:
        try:
            serving.wrap_socket(theirs, server_side=True).close()
        except OSError:
            theirs.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with asking.wrap_socket(ours, server_hostname=name) as connection:
            return str(connection.version())
    finally:
        ours.close()
        thread.join()


def test_a_client_with_the_authority_believes_the_certificate(tmp_path: Path) -> None:
    make(tmp_path, ["hall.test", "10.0.0.5"], NOW)
    for name in ("hall.test", "localhost", "127.0.0.1", "::1", "10.0.0.5"):
        assert shake_hands(tmp_path, tmp_path / tls.CA, name) == "TLSv1.3"


def test_another_name_another_authority_or_none_is_not_believed(tmp_path: Path) -> None:
    make(tmp_path / "one", ["hall.test"], NOW)
    make(tmp_path / "other", ["hall.test"], NOW)
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        shake_hands(tmp_path / "one", tmp_path / "one" / tls.CA, "evil.test")
    for wrong in (tls.client_context(tmp_path / "other" / tls.CA), tls.client_context()):
        with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer"):
            shake_hands(tmp_path / "one", tmp_path, client=wrong)


def test_a_certificate_that_is_over_is_not_believed(tmp_path: Path) -> None:
    made = make(tmp_path, ["hall.test"], NOW - 398 * DAY_S)
    assert made.days_left(NOW) == pytest.approx(-1, abs=0.01)
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        shake_hands(tmp_path, tmp_path / tls.CA)


def test_old_versions_and_weak_ciphers_are_not_spoken(tmp_path: Path) -> None:
    make(tmp_path, ["hall.test"], NOW)
    client = ssl.create_default_context(cafile=tmp_path / tls.CA)
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    assert shake_hands(tmp_path, tmp_path, client=client) == "TLSv1.2"
    client.set_ciphers("AES128-SHA256:ECDHE-ECDSA-AES128-SHA256")  # without forward secrecy, and with CBC
    with pytest.raises(ssl.SSLError):
        shake_hands(tmp_path, tmp_path, client=client)
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        client.minimum_version = client.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):
        shake_hands(tmp_path, tmp_path, client=client)


def test_keys_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "tls"
    make(folder, [], NOW)
    for key in (tls.CA_KEY, tls.SERVER_KEY):
        assert stat.S_IMODE((folder / key).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_renewed_certificate_has_the_names_it_had_and_the_authority_clients_know(tmp_path: Path) -> None:
    first = make(tmp_path, ["hall.test"], NOW - 300 * DAY_S)
    authority = (tmp_path / tls.CA).read_bytes()
    again = renew(tmp_path, None, NOW)
    assert again.names == first.names == ("hall.test", "localhost", "127.0.0.1", "::1")
    assert again.ends_at > first.ends_at
    assert again.fingerprint != first.fingerprint
    assert (tmp_path / tls.CA).read_bytes() == authority
    assert renew(tmp_path, ["other.test"], NOW).names[0] == "other.test"
    assert shake_hands(tmp_path, tmp_path / tls.CA, "other.test")


def test_an_authority_is_not_replaced_by_accident(tmp_path: Path) -> None:
    make(tmp_path, [], NOW)
    with pytest.raises(Rejected, match="hall tls renew"):
        make(tmp_path, [], NOW)


def test_nothing_is_renewed_without_an_authority_or_with_one_that_ends(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="hall tls init"):
        renew(tmp_path, None, NOW)
    make(tmp_path, [], NOW - (certificates.CA_DAYS - 10) * DAY_S)
    with pytest.raises(Rejected, match="the authority itself ends"):
        renew(tmp_path, None, NOW)


@pytest.mark.parametrize("name", ["a b", "", "x" * 70, "..", "http://hall.test"])
def test_what_is_no_name_gets_no_certificate(tmp_path: Path, name: str) -> None:
    with pytest.raises(Rejected):
        make(tmp_path, [name], NOW)
    assert not (tmp_path / tls.CA).exists()


def test_a_file_that_is_no_certificate_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.pem").write_text("hello")
    for look in (read, lambda path: tls.server_context(path, path), tls.client_context):
        with pytest.raises(Rejected, match=r"x\.pem"):
            look(tmp_path / "x.pem")
