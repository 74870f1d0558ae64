"""Signatures in the bundle format of Sigstore, by a key of one's own: without a certificate and without a log.

https://docs.sigstore.dev/about/bundle/ : the JSON form of the protobuf message `dev.sigstore.bundle.v1.Bundle`, version
0.3. A signature of bytes is a `messageSignature`; what is said about an image is a statement of in-toto (v1) in an
envelope (https://github.com/secure-systems-lab/dsse/blob/master/protocol.md).
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dsvc.errors import RequestError

BUNDLE: Final = "application/vnd.dev.sigstore.bundle.v0.3+json"
STATEMENT: Final = "https://in-toto.io/Statement/v1"
CYCLONEDX: Final = "https://cyclonedx.org/bom"
_IN_TOTO: Final = "application/vnd.in-toto+json"


class UnfitKeyError(RequestError):
    """A file that is no private key, or one of a kind that is not used for this."""


@dataclass(frozen=True, slots=True)
class BundleKey:
    """A private key, and the hint by which verifiers find the public one: the SHA-256 of its DER form, in base64."""

    private: Any
    hint: str

    def sign(self, data: bytes) -> bytes:
        """Return a signature: Ed25519 of the bytes, or ECDSA with SHA-256 in DER form, the same one each time."""
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.hashes import SHA256

        if isinstance(self.private, ec.EllipticCurvePrivateKey):
            return self.private.sign(data, ec.ECDSA(SHA256(), deterministic_signing=True))
        return bytes(self.private.sign(data))


def read_bundle_key(path: Path) -> BundleKey:
    """Return the key of a PEM file (PKCS #8 or SEC 1): ECDSA on P-256, or Ed25519.

    Raises:
        UnfitKeyError: for all others, and for those that want a password.
        RequestError: when it cannot be read, or the library is missing.
    """
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519
    except ModuleNotFoundError as error:
        raise RequestError("signing with a PEM key needs a library", hint="pip install 'dsvc[encrypt]'") from error
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RequestError(f"{path} cannot be read: {error.strerror}") from error
    try:
        private = serialization.load_pem_private_key(data, None)
    except TypeError as error:
        hint = f"openssl pkey -in {path} -out FILE writes it without, for the time that it is needed"
        raise UnfitKeyError(f"the key {path} wants a password", hint=hint) from error
    except ValueError as error:
        hint = "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out FILE makes one"
        raise UnfitKeyError(f"{path} is no private key in PEM form", hint=hint) from error
    on_curve = isinstance(private, ec.EllipticCurvePrivateKey) and isinstance(private.curve, ec.SECP256R1)
    if not on_curve and not isinstance(private, ed25519.Ed25519PrivateKey):
        raise UnfitKeyError(f"{path} is neither a key on the curve P-256 nor one of Ed25519")
    der = private.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return BundleKey(private, _text(hashlib.sha256(der).digest()))


def sign_message(data: bytes, key: BundleKey) -> bytes:
    """Return a bundle with a signature of bytes."""
    digest = {"algorithm": "SHA2_256", "digest": _text(hashlib.sha256(data).digest())}
    return _bundle(key, {"messageSignature": {"messageDigest": digest, "signature": _text(key.sign(data))}})


def attest(name: str, digest: str, kind: str, said: Mapping[str, Any], key: BundleKey) -> bytes:
    """Return a bundle with a signed statement about an image; `digest` is `sha256:...`, `kind` the predicate's type."""
    algorithm, _, value = digest.partition(":")
    statement = {
        "_type": STATEMENT,
        "subject": [{"name": name, "digest": {algorithm: value}}],
        "predicateType": kind,
        "predicate": said,
    }
    payload = json.dumps(statement, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()
    signed = b"DSSEv1 %d %s %d %s" % (len(_IN_TOTO), _IN_TOTO.encode(), len(payload), payload)
    envelope = {
        "payload": _text(payload),
        "payloadType": _IN_TOTO,
        "signatures": [{"sig": _text(key.sign(signed)), "keyid": ""}],
    }
    return _bundle(key, {"dsseEnvelope": envelope})


def _bundle(key: BundleKey, content: Mapping[str, Any]) -> bytes:
    material = {"publicKey": {"hint": key.hint}, "tlogEntries": []}
    fields = {"mediaType": BUNDLE, "verificationMaterial": material, **content}
    return json.dumps(fields, separators=(",", ":")).encode()


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
