"""Images at a registry: pushed by dsvc, read by others, and bases fetched from there."""

from __future__ import annotations

import base64
import io
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from dsvc.images.descriptor import LAYER, Descriptor
from dsvc.images.logins import Access
from dsvc.images.reference import BadReferenceError, parse_reference, path_of, tag_of
from dsvc.images.registry import Registry, RegistryError
from tests.images.shop import Shop
from tests.servers.oci_registry import PASSWORD, USER, OciRegistry
from tests.servers.ports import free_port

SKOPEO = shutil.which("skopeo")


def push(shop: Shop, target: str) -> dict:
    return shop.cli.ok("build", "churn", "--base", str(shop.base), "--push", target, "--json").json["pushed"]


def test_what_the_registry_has_is_not_sent_again(shop, oci_registry):
    target = f"{oci_registry.host}/again"
    first = push(shop, target)
    assert (first["blobs"], first["there"]) == (5, 0)
    assert push(shop, target)["blobs"] == 0
    shop.train("b")
    second = push(shop, target)
    assert (second["blobs"], second["there"]) == (2, 3)  # the model and the config
    assert second["reference"].startswith(f"{target}/churn@sha256:")


@pytest.mark.skipif(SKOPEO is None, reason="needs skopeo")
def test_skopeo_fetches_it(shop, oci_registry, tmp_path):
    pushed = push(shop, f"{oci_registry.host}/team/models:best")
    words = ["skopeo", "copy", "-q", "--src-tls-verify=false"]
    subprocess.run([*words, f"docker://{oci_registry.host}/team/models:best", f"dir:{tmp_path}/got"], check=True)
    subprocess.run([*words, f"docker://{pushed['reference']}", f"dir:{tmp_path}/same"], check=True)
    assert (tmp_path / "got/manifest.json").read_bytes() == (tmp_path / "same/manifest.json").read_bytes()


@pytest.mark.skipif(SKOPEO is None, reason="needs skopeo")
def test_a_base_at_a_registry_in_the_form_of_docker(shop, oci_registry):
    name = f"{oci_registry.host}/bases/python:3"
    words = ["skopeo", "copy", "-q", "--dest-tls-verify=false", "--format", "v2s2"]
    subprocess.run([*words, f"oci:{shop.base}", f"docker://{name}"], check=True)
    document = shop.cli.ok("build", "churn", "--base", name, "--json").json
    assert document["base"]["name"] == name
    shop.cli.ok("config", "build.base", f"{oci_registry.host}/bases/python@{document['base']['digest']}")
    assert shop.cli.ok("build", "churn", "--json").json["base"]["digest"] == document["base"]["digest"]
    shop.cli.ok("build", "churn", "-q", "--output", "out")
    subprocess.run(["skopeo", "inspect", f"oci:{shop.cli.directory}/out:1"], check=True, capture_output=True)


def test_a_registry_with_a_password(shop, locked_registry):
    target = f"{locked_registry.host}/team"
    answer = shop.cli("build", "churn", "--base", str(shop.base), "--push", target)
    assert answer.code == 14
    assert f"docker login {locked_registry.host}" in answer.err
    home = Path(shop.cli.environment["HOME"])
    (home / ".docker").mkdir()
    login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    (home / ".docker/config.json").write_text(json.dumps({"auths": {locked_registry.host: {"auth": login}}}))
    assert push(shop, target)["blobs"] == 5


@pytest.mark.parametrize("which", ["credsStore", "credHelpers"])
def test_a_login_that_a_helper_keeps(shop, locked_registry, tmp_path, which):
    """Docker's programs of this kind read a host and print a login, or end with 1."""
    target = f"{locked_registry.host}/{which.lower()}"
    folder = Path(shop.cli.environment["HOME"]) / ".docker"
    folder.mkdir()
    told = "chest" if which == "credsStore" else {locked_registry.host: "chest"}
    (folder / "config.json").write_text(json.dumps({"auths": {locked_registry.host: {}}, which: told}))
    words = ("build", "churn", "--base", str(shop.base), "--push", target)
    assert shop.cli(*words).code == 14  # there is no such program

    program = tmp_path / "bin" / "docker-credential-chest"
    program.parent.mkdir()
    answer = json.dumps({"ServerURL": locked_registry.host, "Username": USER, "Secret": PASSWORD})
    program.write_text(f"#!/bin/sh\n[ \"$1 $(cat)\" = 'get {locked_registry.host}' ] && echo '{answer}'\n")
    program.chmod(0o755)
    shop.cli.environment["PATH"] = f"{program.parent}:{shop.cli.environment['PATH']}"
    assert "sent" in shop.cli.ok(*words).err

    program.write_text("#!/bin/sh\necho credentials not found in native keychain; exit 1\n")
    assert shop.cli(*words).code == 14


def test_a_base_that_is_not_there(shop, oci_registry):
    answer = shop.cli("build", "churn", "--base", f"{oci_registry.host}/nothing:1")
    assert answer.code == 14
    assert "404" in answer.err


def test_a_registry_that_is_not_there():
    waits: list[float] = []
    reference = parse_reference(f"127.0.0.1:{free_port()}/x")
    registry = Registry(reference, Access({}), pause=waits.append)
    with pytest.raises(RegistryError, match="cannot be reached"):
        registry.has_blob("sha256:" + "0" * 64)
    assert len(waits) == 3


def test_content_that_is_not_what_was_said_is_refused(oci_registry: OciRegistry):
    registry = Registry(parse_reference(f"{oci_registry.host}/bad"), Access({}), pause=lambda _: None)
    wrong = Descriptor(LAYER, "sha256:" + "0" * 64, 5)
    with pytest.raises(RegistryError, match="400"):
        registry.send_blob(wrong, lambda: io.BytesIO(b"other"))
    assert not registry.has_blob(wrong.digest)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("python:3.11", "docker.io/library/python:3.11"),
        ("team/churn", "docker.io/team/churn"),
        ("localhost/x", "localhost/x"),
        ("a.example:5000/b/c:1@sha256:" + "a" * 64, "a.example:5000/b/c:1@sha256:" + "a" * 64),
    ],
)
def test_names_of_images(text, shown):
    assert str(parse_reference(text)) == shown


@pytest.mark.parametrize("text", ["", "A", "x:", "a/../b", "host:5000/", "x@sha256:1", "x y", "host:port/x"])
def test_names_that_are_none(text):
    with pytest.raises(BadReferenceError):
        parse_reference(text)


def test_any_name_becomes_one_of_a_repository():
    assert (path_of("Team/My Model!"), path_of("ä"), tag_of("feature/x")) == ("team/my-model", "model", "feature-x")
