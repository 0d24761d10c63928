"""A certificate authority for one run: a root, and a key that the simulated PayPal signs its webhooks with."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NAME = "messageverificationcerts.simulated.paypal.com"
_YEARS_AGO = datetime(2020, 1, 1, tzinfo=UTC)
_YEARS_AHEAD = datetime(2049, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Authority:
    """A root with its key."""

    key: RSAPrivateKey
    root: x509.Certificate

    @property
    def pem(self) -> str:
        """The root, for whoever is to trust it."""
        return self.root.public_bytes(Encoding.PEM).decode()

    def signer(
        self, name: str = NAME, *, not_before: datetime = _YEARS_AGO, not_after: datetime = _YEARS_AHEAD
    ) -> "Signer":
        """A new key with a certificate of this authority."""
        key = _key()
        builder = (
            _builder(name, self.root.subject, key, not_before, not_after)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        return Signer(key, builder.sign(self.key, SHA256()))


@dataclass(frozen=True)
class Signer:
    """A key and its certificate."""

    key: RSAPrivateKey
    certificate: x509.Certificate

    @property
    def pem(self) -> bytes:
        """The certificate as it is handed out."""
        return self.certificate.public_bytes(Encoding.PEM)

    def sign(self, message: bytes) -> bytes:
        """SHA256withRSA."""
        return self.key.sign(message, PKCS1v15(), SHA256())


def new_authority(name: str = "Simulated Root") -> Authority:
    """A root that nobody knows."""
    key = _key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        _builder(name, subject, key, _YEARS_AGO, _YEARS_AHEAD + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return Authority(key, builder.sign(key, SHA256()))


def _key() -> RSAPrivateKey:
    return generate_private_key(65537, 2048)


def _builder(
    name: str, issuer: x509.Name, key: RSAPrivateKey, not_before: datetime, not_after: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
