"""The keys and certificates of one control plane: made at its first start, kept from then on.

Three authorities, so that no certificate opens a door that it was not made for: one for the API
server and its callers, one for etcd, one for the front proxy (which may name any user).
"""

import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SERVICE_IP = "10.96.0.1"
"""The first address of the services' range, which the API server takes for itself."""
_VALID = timedelta(days=3650)
_BEFORE = timedelta(hours=1)
_SERVED_AS = (
    *("localhost", "kubernetes", "kubernetes.default"),
    *("kubernetes.default.svc", "kubernetes.default.svc.cluster.local"),
)
_SERVED_AT = ("127.0.0.1", "::1", SERVICE_IP)


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """Who signs: a key and the certificate that all trust."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Where each file is; ``X.crt`` beside ``X.key``, every key of mode 0600."""

    at: Path

    def certificate(self, name: str) -> Path:
        """The certificate of that name."""
        return self.at / f"{name}.crt"

    def key(self, name: str) -> Path:
        """The private key of that name."""
        return self.at / f"{name}.key"


def ensure(at: Path) -> Keys:
    """Make what is not there yet; a folder that was filled before stays as it is."""
    keys = Keys(at=at)
    done = at / "complete"
    if done.exists():
        return keys
    at.mkdir(mode=0o700, parents=True, exist_ok=True)
    callers, etcd, proxy = (_authority(keys, name) for name in ("ca", "etcd-ca", "proxy-ca"))
    _issue(keys, "apiserver", by=callers, served=True)
    _issue(keys, "controllers", by=callers, served=True)
    _issue(keys, "kubelet", by=callers, served=True)
    _issue(keys, "kubelet-client", by=callers, groups=("system:masters",))
    _issue(keys, "etcd", by=etcd, served=True)
    _issue(keys, "etcd-client", by=etcd)
    _issue(keys, "aggregator", by=proxy)
    _write_key(keys.key("service-accounts"), ec.generate_private_key(ec.SECP256R1()))
    done.touch()
    return keys


def _authority(keys: Keys, name: str) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _subject(f"midstage {name}", ())
    certificate = (
        _begun(subject, subject, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_use(signs=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    _write_key(keys.key(name), key)
    keys.certificate(name).write_bytes(_pem(certificate))
    return Authority(certificate=certificate, key=key)


def _issue(
    keys: Keys, name: str, *, by: Authority, groups: Sequence[str] = (), served: bool = False
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    uses = [ExtendedKeyUsageOID.CLIENT_AUTH, *([ExtendedKeyUsageOID.SERVER_AUTH] * served)]
    signed = (
        _begun(_subject(name, groups), by.certificate.subject, key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_use(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
    )
    if served:
        signed = signed.add_extension(x509.SubjectAlternativeName(_names()), critical=False)
    _write_key(keys.key(name), key)
    keys.certificate(name).write_bytes(_pem(signed.sign(by.key, hashes.SHA256())))


def _begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BEFORE)
        .not_valid_after(now + _VALID)
    )


def _subject(name: str, groups: Sequence[str]) -> x509.Name:
    """Kubernetes takes the user from the common name, and the groups from the organizations."""
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _names() -> list[x509.GeneralName]:
    addresses = [x509.IPAddress(ipaddress.ip_address(each)) for each in _SERVED_AT]
    return [*(x509.DNSName(each) for each in _SERVED_AS), *addresses]


def _use(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _write_key(file: Path, key: ec.EllipticCurvePrivateKey) -> None:
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,  # the one form that all four read
        serialization.NoEncryption(),
    )
    file.unlink(missing_ok=True)  # of a start that broke off
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as out:
        out.write(pem)
