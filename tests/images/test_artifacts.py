"""What `dsvc build` adds to an image: a bill of materials, and a signature."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from dsvc.images.logins import Access
from dsvc.images.reference import parse_reference
from dsvc.images.registry import Registry
from tests.images.shop import Shop


def blob(folder: Path, digest: str) -> bytes:
    return (folder / "blobs" / "sha256" / digest.partition(":")[2]).read_bytes()


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs ssh-keygen")
def test_they_name_the_image_here_and_at_the_registry(shop: Shop, oci_registry, tmp_path: Path):
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    shop.cli.ok("config", "--user", "user.signingKey", str(key))
    words = ("--base", str(shop.base), "--sbom", "--sign", "--output", "out", "--push", f"{oci_registry.host}/about")
    document = shop.cli.ok("build", "churn", *words, "--json").json
    plain = shop.cli.ok("build", "churn", "--base", str(shop.base), "--json").json
    assert document["digest"] == plain["digest"]
    folder, made = shop.cli.directory / "out", {each["what"]: each for each in document["artifacts"]}

    bill = json.loads(blob(folder, made["sbom"]["content"]))
    assert bill["bomFormat"] == "CycloneDX"
    assert {"left-pad", "rentals"} <= {each["name"] for each in bill["components"]}
    assert json.loads(blob(folder, made["sbom"]["digest"]))["subject"]["digest"] == document["digest"]

    (tmp_path / "signature").write_bytes(blob(folder, made["signature"]["content"]))
    (tmp_path / "signers").write_text(f"ada {(tmp_path / 'key.pub').read_text()}")
    check = ["ssh-keygen", "-Y", "verify", "-f", tmp_path / "signers", "-I", "ada", "-n", "dsvc-image",
             "-s", tmp_path / "signature"]  # fmt: skip
    manifest = blob(folder, document["digest"])
    assert subprocess.run(check, input=manifest, capture_output=True, check=False).returncode == 0
    assert subprocess.run(check, input=manifest + b" ", capture_output=True, check=False).returncode != 0

    registry = Registry(parse_reference(document["pushed"]["reference"]), Access({}))
    listed = json.loads(registry.manifest(document["digest"].replace(":", "-"))[1])["manifests"]
    assert {each["digest"] for each in listed} == {each["digest"] for each in made.values()}
    shop.cli.ok("build", "churn", "--base", "out", "--json")  # still one image: what is said about it is none


KINDS = {"ec": ("EC", "-pkeyopt", "ec_paramgen_curve:P-256"), "ed25519": ("ED25519",)}


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
@pytest.mark.parametrize("kind", KINDS)
def test_bundles_of_sigstore_are_read_by_its_models_and_verified_by_openssl(shop: Shop, tmp_path: Path, kind: str):
    pytest.importorskip("sigstore_models", reason="sigstore-models is not installed")
    from sigstore_models.bundle.v1 import Bundle

    key, public = tmp_path / "key.pem", tmp_path / "key.pub"
    subprocess.run(["openssl", "genpkey", "-algorithm", *KINDS[kind], "-out", key], check=True, capture_output=True)
    subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-out", public], check=True)
    der = subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-outform", "DER"], check=True, capture_output=True)

    def verified(data: bytes, signature: bytes) -> bool:
        (tmp_path / "data").write_bytes(data)
        (tmp_path / "sig").write_bytes(signature)
        words = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", public, "-rawin", "-in", tmp_path / "data",
                 "-sigfile", tmp_path / "sig", *(["-digest", "sha256"] if kind == "ec" else [])]  # fmt: skip
        return subprocess.run(words, capture_output=True, check=False).returncode == 0

    words = ("build", "churn", "--base", str(shop.base), "--sbom", "--sign-key", str(key), "-o", "out", "--json")
    document = shop.cli.ok(*words).json
    assert [each["what"] for each in document["artifacts"]] == ["sbom", "attestation", "bundle"]
    assert shop.cli.ok(*words).json["artifacts"] == document["artifacts"]  # the same key signs the same
    folder, made = shop.cli.directory / "out", {each["what"]: each for each in document["artifacts"]}
    manifest = blob(folder, document["digest"])
    signed = Bundle.from_json(blob(folder, made["bundle"]["content"]))
    hint = base64.b64encode(hashlib.sha256(der.stdout).digest()).decode()
    assert signed.verification_material.public_key.hint == hint
    assert signed.message_signature.message_digest.digest == hashlib.sha256(manifest).digest()
    signature = signed.message_signature.signature
    assert verified(manifest, signature)
    assert not verified(manifest + b" ", signature)

    said = Bundle.from_json(blob(folder, made["attestation"]["content"])).dsse_envelope
    payload = said.payload
    statement = json.loads(payload)
    assert statement["subject"][0]["digest"]["sha256"] == document["digest"].partition(":")[2]
    assert statement["predicate"] == json.loads(blob(folder, made["sbom"]["content"]))
    kind_of = said.payload_type.encode()
    before = b"DSSEv1 %d %s %d %s" % (len(kind_of), kind_of, len(payload), payload)
    assert verified(before, said.signatures[0].sig)
    entry = json.loads(blob(folder, made["bundle"]["digest"]))
    assert entry["artifactType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"


def test_keys_that_do_not_fit(shop: Shop, tmp_path: Path):
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    small, whole = ec.generate_private_key(ec.SECP384R1()), ec.generate_private_key(ec.SECP256R1())
    keys = {
        "other.pem": (small.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), "neither a key"),
        "locked.pem": (
            whole.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")), "wants a password"
        ),
        "text.pem": (b"hello", "no private key"),
    }  # fmt: skip
    for name, (data, said) in keys.items():
        (tmp_path / name).write_bytes(data)
        answer = shop.cli("build", "churn", "--base", str(shop.base), "--sign-key", str(tmp_path / name))
        assert (answer.code, said in answer.err) == (3, True), answer.err
    assert shop.cli("build", "churn", "--base", str(shop.base), "--sign-key", "missing.pem").code == 3


def test_without_a_key_nothing_is_signed(shop: Shop):
    answer = shop.cli("build", "churn", "--base", str(shop.base), "--sign")
    assert (answer.code, "user.signingKey" in answer.err) == (3, True)
