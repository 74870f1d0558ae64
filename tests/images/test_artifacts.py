"""What `dsvc build` adds to an image: a bill of materials, and a signature."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from dsvc.images.reference import parse_reference
from dsvc.images.registry import Access, Registry
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


def test_without_a_key_nothing_is_signed(shop: Shop):
    answer = shop.cli("build", "churn", "--base", str(shop.base), "--sign")
    assert (answer.code, "user.signingKey" in answer.err) == (3, True)
