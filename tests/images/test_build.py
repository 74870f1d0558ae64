"""`dsvc build`: what is in an image, and that it is the same wherever it is made."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.images.shop import Shop

SKOPEO = shutil.which("skopeo")


def built(shop: Shop, *words: str) -> dict:
    return shop.cli.ok("build", "churn", "--base", str(shop.base), "--json", *words).json


def layer(folder: Path, document: dict, what: str) -> dict[str, tarfile.TarInfo]:
    digest = next(each["digest"] for each in document["layers"] if each["what"] == what)
    with tarfile.open(folder / "blobs" / "sha256" / digest.partition(":")[2]) as archive:
        return {info.name: info for info in archive}


def test_layers_hold_what_they_are_called_after(shop):
    document = built(shop, "--output", "out")
    folder = shop.cli.directory / "out"
    assert [each["what"] for each in document["layers"]] == ["base", "environment", "serving", "model"]
    model = layer(folder, document, "model")
    assert sorted(model) == ["model", "model/dsvc-model.json", "model/predictor.py", "model/weights.json"]
    environment = layer(folder, document, "environment")
    below = "opt/dsvc/env/lib/python3.11/site-packages".replace("3.11", os.path.basename(_python(environment))[6:])
    assert {f"{below}/left_pad.py", f"{below}/rentals/data.txt", "opt/dsvc/env/pyvenv.cfg"} <= set(environment)
    assert not [name for name in environment if name.endswith((".pyc", "direct_url.json"))]
    assert "opt/dsvc/serving/dsvc/version.py" in layer(folder, document, "serving")
    members = [info for what in ("environment", "serving", "model") for info in layer(folder, document, what).values()]
    others = [info for info in members if (info.uid, info.gid, info.uname) != (0, 0, "")]
    assert [(info.name, info.uid, info.gid, info.isdir()) for info in others] == [("feedback", 65532, 65532, True)]


def _python(environment: dict[str, tarfile.TarInfo]) -> str:
    return environment["opt/dsvc/env/bin/python"].linkname


def test_labels_say_where_it_comes_from(shop):
    document = built(shop)
    shown = shop.cli.ok("model", "show", "--json", "churn").json
    notes = document["annotations"]
    assert notes["io.dsvc.commit"] == shown["commit"]
    assert notes["org.opencontainers.image.revision"] == shop.cli.ok("rev-parse", "HEAD").out.strip()
    assert (notes["io.dsvc.run"], notes["io.dsvc.environment"]) == (shown["run"], shown["environment"])
    assert notes["io.dsvc.model.id"] == shown["id"]
    assert "visits.csv@" in notes["io.dsvc.datasets"]
    assert notes["org.opencontainers.image.created"] == "2026-01-31T11:00:00Z"
    assert notes["org.opencontainers.image.base.digest"] == document["base"]["digest"]


def test_the_same_elsewhere_has_the_same_digest(shop, tmp_path):
    """Another clone, at another time, with an empty cache, and packages that pip installs from wheels."""
    first = built(shop)
    shop.cli.ok("clone", "-q", "--runs", ".", str(tmp_path / "clone"))
    shop.forget()
    environment = {**shop.cli.environment, "DSVC_DATE": "2027-05-05T05:05:05+05:00"}
    del environment["VIRTUAL_ENV"]
    other = type(shop.cli)(tmp_path / "clone", environment)
    words = ("--find-links", str(shop.wheels), "--no-index")
    second = other.ok("build", "churn", "--base", str(shop.base), "--json", *words).json
    assert second["digest"] == first["digest"]


def test_a_second_version_differs_in_the_model_layer_alone(shop):
    first = {each["what"]: each["digest"] for each in built(shop)["layers"]}
    shop.train("b")
    second = {each["what"]: each["digest"] for each in built(shop)["layers"]}
    assert [what for what in first if first[what] != second[what]] == ["model"]


def test_a_model_of_many_chunks_is_in_its_layer_as_it_was(shop):
    """A file that is stored in pieces of all lengths, one of no length, and one that is a model of its own."""
    weights = random.Random(4).randbytes(5_000_003)
    (shop.cli.directory / "model" / "weights.bin").write_bytes(weights)
    (shop.cli.directory / "model" / "empty").write_bytes(b"")
    shop.cli.ok("commit", "-q", "-m", "large")
    shop.cli.ok("model", "add", "churn", "model")
    environment = shop.cli.ok("model", "show", "--json", "churn@1").json["environment"]
    document = built(shop, "--environment", environment)
    (layer,) = (each["digest"] for each in document["layers"] if each["what"] == "model")
    path = shop.cli.directory / ".dsvc/cache/images/blobs/sha256" / layer.partition(":")[2]
    with tarfile.open(path) as archive:
        assert archive.extractfile("model/weights.bin").read() == weights
        assert archive.extractfile("model/empty").read() == b""


def test_packages_that_were_changed_are_not_taken(shop, tmp_path):
    """A file that is not what the RECORD says is an error, and no layer is left of it."""
    shop.forget()
    shutil.copytree(shop.venv, tmp_path / "venv", symlinks=True)
    shop.cli.environment["VIRTUAL_ENV"] = str(tmp_path / "venv")
    found = next((tmp_path / "venv").glob("lib/python*/site-packages/left_pad.py"))
    found.write_text("VERSION = '1.1'\n")
    answer = shop.cli("build", "churn", "--base", str(shop.base))
    assert answer.code == 3
    assert "left_pad.py has not the content that is recorded for it" in answer.err


def test_packages_that_cannot_be_had(shop, tmp_path):
    shop.forget()
    del shop.cli.environment["VIRTUAL_ENV"]
    away = shop.wheels.rename(tmp_path / "away")  # where the record says that they came from
    try:
        answer = shop.cli("build", "churn", "--base", str(shop.base), "--no-index")
    finally:
        away.rename(shop.wheels)
    assert answer.code == 3
    assert "not to be had as they were recorded: left-pad 1.0, rentals 2.0" in answer.err
    assert "--find-links" in answer.err


def test_a_model_without_an_environment(shop):
    (shop.cli.directory / "by-hand.json").write_text("{}")
    shop.cli.ok("model", "add", "hand", "by-hand.json")
    answer = shop.cli("build", "hand", "--base", str(shop.base))
    assert answer.code == 3
    assert "--environment" in answer.err
    other = shop.cli.ok("model", "show", "--json", "churn").json["environment"]
    shop.cli.ok("build", "hand", "--base", str(shop.base), "--environment", other)


@pytest.mark.skipif(SKOPEO is None, reason="needs skopeo")
def test_what_a_model_asks_for_and_its_environment_has_not(shop):
    """Said when the image is built, and not by servers that do not start."""
    train = shop.cli.directory / "train.py"
    code = train.read_text() + "open('model/runtime-requirements.txt', 'w').write({!r})"
    train.write_text(code.format("Left_Pad>=1\nno-such-thing==1.0\nrentals<2\n"))
    shop.train("b")
    answer = shop.cli("build", "churn", "--base", str(shop.base))
    assert answer.code == 3
    assert "environment has not: no-such-thing==1.0, rentals<2 (there is 2.0)" in answer.err
    train.write_text(code.format("Left_Pad>=1\nnumpy\n"))  # the second comes with what serves
    shop.train("c")
    shop.cli.ok("build", "churn", "--base", str(shop.base))


def test_skopeo_reads_the_layout(shop):
    document = built(shop, "--output", "out", "-t", "shop/churn:7")
    where = f"oci:{shop.cli.directory}/out:7"
    told = json.loads(subprocess.run(["skopeo", "inspect", where], capture_output=True, check=True).stdout)
    assert told["Digest"] == document["digest"]
    assert told["Labels"]["below"] == "yes"
    assert told["Labels"]["io.dsvc.model"] == "churn@1"
    copied = shop.cli.directory.parent / "copied"
    subprocess.run(["skopeo", "copy", "-q", where, f"dir:{copied}"], check=True)  # it checks every digest


@pytest.mark.skipif(SKOPEO is None, reason="needs skopeo")
def test_skopeo_reads_the_archive_as_one_of_docker(shop):
    built(shop, "--output", "out.tar")
    where = f"docker-archive:{shop.cli.directory}/out.tar"
    told = json.loads(subprocess.run(["skopeo", "inspect", "--config", where], capture_output=True, check=True).stdout)
    assert told["config"]["Entrypoint"] == ["/opt/dsvc/env/bin/python", "-m", "dsvc.serving"]
    assert (told["config"]["User"], told["config"]["Cmd"]) == ("65532:65532", ["/model"])


@pytest.mark.parametrize("form", ["oci-archive", "docker-archive"])
@pytest.mark.skipif(SKOPEO is None, reason="needs skopeo")
def test_a_base_that_others_wrote(shop, form):
    archive = shop.cli.directory.parent / "base.tar"
    subprocess.run(["skopeo", "copy", "-q", f"oci:{shop.base}", f"{form}:{archive}:base:1"], check=True)
    document = shop.cli.ok("build", "churn", "--base", str(archive), "--json").json
    plain = built(shop)
    assert [each["what"] for each in document["layers"]] == [each["what"] for each in plain["layers"]]


def test_a_base_without_the_python_that_is_needed(shop, tmp_path):
    from dsvc.images.layers import Member
    from tests.images.bases import write_base

    other = write_base(tmp_path / "other", [Member("usr/bin/python3.2", link="python")])
    answer = shop.cli("build", "churn", "--base", str(other))
    assert answer.code == 3
    assert "it has: python3.2" in answer.err
    foreign = write_base(tmp_path / "foreign", [Member("usr/bin/python3.2", link="python")], architecture="s390x")
    assert "linux/s390x" in shop.cli("build", "churn", "--base", str(foreign)).err


def test_a_damaged_base(shop, tmp_path):
    shop.forget()
    damaged = tmp_path / "damaged"
    shutil.copytree(shop.base, damaged)
    blobs = sorted((damaged / "blobs" / "sha256").iterdir(), key=lambda path: path.stat().st_size)
    blobs[-1].write_bytes(b"x" * blobs[-1].stat().st_size)
    answer = shop.cli("build", "churn", "--base", str(damaged))
    assert answer.code == 15
    assert "is damaged" in answer.err


@pytest.mark.parametrize("tag", ["Bad:x", "a:b:c", "v 1", "a:", "", ":v"])
def test_a_tag_that_no_engine_takes(shop, tag):
    answer = shop.cli("build", "churn", "--base", str(shop.base), "--tag", tag)
    assert (answer.code, "is not a valid name for an image" in answer.err) == (2, True)


def test_an_output_folder_that_is_something_else(shop):
    answer = shop.cli("build", "churn", "--base", str(shop.base), "--output", ".")
    assert answer.code == 3
    assert "no OCI layout" in answer.err
