"""A small certificate authority for one hall, and the certificate its doors show.

`make` puts four files into a folder: `ca.pem`, which is handed to clients, and `server.pem`, and the keys of both,
readable by their owner only. The authority may sign nothing but servers. How the files are used is `tls.py`'s.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from modelhall.core import files
from modelhall.core.errors import Rejected
from modelhall.trust import private_file
from modelhall.trust.sites import LOCAL
from modelhall.trust.tls import CA, CA_KEY, SERVER, SERVER_KEY

HOST_NAME = re.compile(r"(\*\.)?[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
CA_DAYS, SERVER_DAYS = 3650, 397
WARN_DAYS = 30.0
"""How long before its end a certificate is worth a warning."""
EARLIER = datetime.timedelta(hours=1)
"""Valid from a little before it was made, for clients whose clock is slow."""
DAY_S = 86_400.0


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """What a certificate says."""

    path: Path
    names: tuple[str, ...]
    """Host names and addresses it is for."""
    ends_at: float
    fingerprint: str
    """SHA-256, in hex."""

    def days_left(self, now: float) -> float:
        """Negative when it is over."""
        return (self.ends_at - now) / DAY_S


def make(folder: Path, names: Sequence[str], now: float) -> Certificate:
    """Make an authority and a certificate of its own for these names and this machine's local ones; raises Rejected
    when there is an authority already."""
    if (folder / CA).exists():
        raise Rejected(
            f"there is an authority in {folder} already; `hall tls renew` makes a new certificate, and clients "
            "go on trusting it"
        )
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = ec.generate_private_key(ec.SECP256R1())
    # A name of its own keeps a client from taking the authority of one hall for that of another.
    mark = hashlib.sha256(_public(key.public_key())).hexdigest()[:8]
    name = _named(f"Modelhall authority {mark}")
    built = _builder(name, name, key.public_key(), now, CA_DAYS)
    usage = _usage(signs_certificates=True)
    built = built.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    certificate = built.add_extension(usage, critical=True).sign(key, hashes.SHA256())
    private_file.replace(folder / CA_KEY, _private(key))
    made = _make_server(folder, certificate, key, names, now)
    # Last, since it is what says that there is an authority.
    files.write_bytes(folder / CA, _pem(certificate))
    return made


def renew(folder: Path, names: Sequence[str] | None, now: float) -> Certificate:
    """A new certificate by the same authority, for the names of the one before unless others are given; raises
    Rejected."""
    key_pem = private_file.read(folder / CA_KEY)
    if key_pem is None or not (folder / CA).exists():
        raise Rejected(f"there is no authority in {folder}; `hall tls init` makes one")
    authority = _load(folder / CA)
    if authority.not_valid_after_utc.timestamp() - now < DAY_S * WARN_DAYS:
        raise Rejected(
            f"the authority itself ends on {authority.not_valid_after_utc:%Y-%m-%d}; remove {folder}, make it anew "
            "with `hall tls init`, and give clients the new ca.pem"
        )
    key = serialization.load_pem_private_key(key_pem, password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    chosen = read(folder / SERVER).names if names is None else names
    return _make_server(folder, authority, key, chosen, now)


def read(path: Path) -> Certificate:
    """What the first certificate in a file says; raises Rejected when there is none."""
    certificate = _load(path)
    return Certificate(
        path=path,
        names=_names_in(certificate),
        ends_at=certificate.not_valid_after_utc.timestamp(),
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
    )


def _make_server(
    folder: Path,
    authority: x509.Certificate,
    ca_key: ec.EllipticCurvePrivateKey,
    names: Sequence[str],
    now: float,
) -> Certificate:
    every = list(dict.fromkeys([*names, *LOCAL]))
    key = ec.generate_private_key(ec.SECP256R1())
    built = _builder(_named("Modelhall"), authority.subject, key.public_key(), now, SERVER_DAYS)
    by = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.SubjectAlternativeName([_general_name(name) for name in every]), False),
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_usage(signs_certificates=False), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        (by, False),
    ]
    for extension, critical in extensions:
        built = built.add_extension(extension, critical=critical)
    certificate = built.sign(ca_key, hashes.SHA256())
    # A door that loads them between the two is told that they do not fit, and tries again.
    private_file.replace(folder / SERVER_KEY, _private(key))
    files.write_bytes(folder / SERVER, _pem(certificate))
    return read(folder / SERVER)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: float, days: int
) -> x509.CertificateBuilder:
    start = datetime.datetime.fromtimestamp(now, datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start - EARLIER)
        .not_valid_after(start + datetime.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    with contextlib.suppress(ValueError):
        return x509.IPAddress(ipaddress.ip_address(name))
    with contextlib.suppress(UnicodeError):
        plain = name.encode("idna").decode().lower()
        if HOST_NAME.fullmatch(plain):
            return x509.DNSName(plain)
    raise Rejected(f"{name!r} is no host name and no address", field="name")


def _names_in(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    addresses = (str(address) for address in found.get_values_for_type(x509.IPAddress))
    return (*found.get_values_for_type(x509.DNSName), *addresses)


def _load(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except OSError as error:
        raise Rejected(
            f"the certificate {path} cannot be read: {error.strerror}", field="tls_certificate"
        ) from None
    except ValueError:
        raise Rejected(f"{path} holds no certificate in PEM", field="tls_certificate") from None


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def _public(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint)
