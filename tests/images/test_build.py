"""`dsvc build`: what is in an image, and that it is the same wherever it is made."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.images.conftest import Project

SKOPEO = shutil.which("skopeo")


def built(project: Project, *words: str) -> dict:
    return project.cli.ok("build", "churn", "--base", str(project.base), "--json", *words).json


def layer(folder: Path, document: dict, what: str) -> dict[str, tarfile.TarInfo]:
    digest = next(each["digest"] for each in document["layers"] if each["what"] == what)
    with tarfile.open(folder / "blobs" / "sha256" / digest.partition(":")[2]) as archive:
        return {info.name: info for info in archive}


def test_layers_hold_what_they_are_called_after(project):
    document = built(project, "--output", "out")
    folder = project.cli.directory / "out"
    assert [each["what"] for each in document["layers"]] == ["base", "environment", "serving", "model"]
    model = layer(folder, document, "model")
    assert sorted(model) == ["model", "model/dsvc-model.json", "model/labels.txt", "model/weights.json"]
    environment = layer(folder, document, "environment")
    below = "opt/dsvc/env/lib/python3.11/site-packages".replace("3.11", os.path.basename(_python(environment))[6:])
    assert {f"{below}/left_pad.py", f"{below}/rentals/data.txt", "opt/dsvc/env/pyvenv.cfg"} <= set(environment)
    assert not [name for name in environment if name.endswith((".pyc", "direct_url.json"))]
    assert "opt/dsvc/serving/dsvc/version.py" in layer(folder, document, "serving")
    members = [info for what in ("environment", "serving", "model") for info in layer(folder, document, what).values()]
    assert {(info.uid, info.gid, info.uname) for info in members} == {(0, 0, "")}


def _python(environment: dict[str, tarfile.TarInfo]) -> str:
    return environment["opt/dsvc/env/bin/python"].linkname


def test_labels_say_where_it_comes_from(project):
    document = built(project)
    shown = project.cli.ok("model", "show", "--json", "churn").json
    notes = document["annotations"]
    assert notes["io.dsvc.commit"] == shown["commit"]
    assert notes["org.opencontainers.image.revision"] == project.cli.ok("rev-parse", "HEAD").out.strip()
    assert (notes["io.dsvc.run"], notes["io.dsvc.environment"]) == (shown["run"], shown["environment"])
    assert notes["io.dsvc.model.id"] == shown["id"]
    assert "visits.csv@" in notes["io.dsvc.datasets"]
    assert notes["org.opencontainers.image.created"] == "2026-01-31T11:00:00Z"
    assert notes["org.opencontainers.image.base.digest"] == document["base"]["digest"]


def test_the_same_elsewhere_has_the_same_digest(project, tmp_path):
    """Another clone, at another time, with an empty cache, and packages that pip installs from wheels."""
    first = built(project)
    project.cli.ok("clone", "-q", "--runs", ".", str(tmp_path / "clone"))
    shutil.rmtree(project.cli.directory / ".dsvc" / "cache" / "images")
    environment = {**project.cli.environment, "DSVC_DATE": "2027-05-05T05:05:05+05:00"}
    del environment["VIRTUAL_ENV"]
    other = type(project.cli)(tmp_path / "clone", environment)
    words = ("--find-links", str(project.wheels), "--no-index")
    second = other.ok("build", "churn", "--base", str(project.base), "--json", *words).json
    assert second["digest"] == first["digest"]


def test_a_second_version_differs_in_the_model_layer_alone(project):
    first = {each["what"]: each["digest"] for each in built(project)["layers"]}
    project.train("b")
    second = {each["what"]: each["digest"] for each in built(project)["layers"]}
    assert [what for what in first if first[what] != second[what]] == ["model"]


def test_packages_that_were_changed_are_not_taken(project, tmp_path):
    """A file that is not what the RECORD says is an error, and no layer is left of it."""
    shutil.copytree(project.venv, tmp_path / "venv", symlinks=True)
    project.cli.environment["VIRTUAL_ENV"] = str(tmp_path / "venv")
    found = next((tmp_path / "venv").glob("lib/python*/site-packages/left_pad.py"))
    found.write_text("VERSION = '1.1'\n")
    answer = project.cli("build", "churn", "--base", str(project.base))
    assert answer.code == 3
    assert "left_pad.py has not the content that is recorded for it" in answer.err


def test_packages_that_cannot_be_had(project, tmp_path):
    del project.cli.environment["VIRTUAL_ENV"]
    away = project.wheels.rename(tmp_path / "away")  # where the record says that they came from
    try:
        answer = project.cli("build", "churn", "--base", str(project.base), "--no-index")
    finally:
        away.rename(project.wheels)
    assert answer.code == 3
    assert "not to be had as they were recorded: left-pad 1.0, rentals 2.0" in answer.err
    assert "--find-links" in answer.err


def test_a_model_without_an_environment(project):
    (project.cli.directory / "by-hand.json").write_text("{}")
    project.cli.ok("model", "add", "hand", "by-hand.json")
    answer = project.cli("build", "hand", "--base", str(project.base))
    assert answer.code == 3
    assert "--environment" in answer.err
    other = project.cli.ok("model", "show", "--json", "churn").json["environment"]
    project.cli.ok("build", "hand", "--base", str(project.base), "--environment", other)


@pytest.mark.skipif(SKOPEO is None, reason="needs skopeo")
def test_skopeo_reads_the_layout(project):
    document = built(project, "--output", "out", "-t", "shop/churn:7")
    where = f"oci:{project.cli.directory}/out:7"
    told = json.loads(subprocess.run(["skopeo", "inspect", where], capture_output=True, check=True).stdout)
    assert told["Digest"] == document["digest"]
    assert told["Labels"]["below"] == "yes"
    assert told["Labels"]["io.dsvc.model"] == "churn@1"
    copied = project.cli.directory.parent / "copied"
    subprocess.run(["skopeo", "copy", "-q", where, f"dir:{copied}"], check=True)  # it checks every digest


@pytest.mark.skipif(SKOPEO is None, reason="needs skopeo")
def test_skopeo_reads_the_archive_as_one_of_docker(project):
    built(project, "--output", "out.tar")
    where = f"docker-archive:{project.cli.directory}/out.tar"
    told = json.loads(subprocess.run(["skopeo", "inspect", "--config", where], capture_output=True, check=True).stdout)
    assert told["config"]["Entrypoint"] == ["/opt/dsvc/env/bin/python", "-m", "dsvc.serving"]
    assert (told["config"]["User"], told["config"]["Cmd"]) == ("65532:65532", ["/model"])


@pytest.mark.parametrize("form", ["oci-archive", "docker-archive"])
@pytest.mark.skipif(SKOPEO is None, reason="needs skopeo")
def test_a_base_that_others_wrote(project, form):
    archive = project.cli.directory.parent / "base.tar"
    subprocess.run(["skopeo", "copy", "-q", f"oci:{project.base}", f"{form}:{archive}:base:1"], check=True)
    document = project.cli.ok("build", "churn", "--base", str(archive), "--json").json
    plain = built(project)
    assert [each["what"] for each in document["layers"]] == [each["what"] for each in plain["layers"]]


def test_a_base_without_the_python_that_is_needed(project, tmp_path):
    from dsvc.images.layers import Member
    from tests.images.bases import write_base

    other = write_base(tmp_path / "other", [Member("usr/bin/python3.2", link="python")])
    answer = project.cli("build", "churn", "--base", str(other))
    assert answer.code == 3
    assert "it has: python3.2" in answer.err
    foreign = write_base(tmp_path / "foreign", [Member("usr/bin/python3.2", link="python")], architecture="s390x")
    assert "linux/s390x" in project.cli("build", "churn", "--base", str(foreign)).err


def test_a_damaged_base(project, tmp_path):
    damaged = tmp_path / "damaged"
    shutil.copytree(project.base, damaged)
    blobs = sorted((damaged / "blobs" / "sha256").iterdir(), key=lambda path: path.stat().st_size)
    blobs[-1].write_bytes(b"x" * blobs[-1].stat().st_size)
    answer = project.cli("build", "churn", "--base", str(damaged))
    assert answer.code == 15
    assert "is damaged" in answer.err


def test_an_output_folder_that_is_something_else(project):
    answer = project.cli("build", "churn", "--base", str(project.base), "--output", ".")
    assert answer.code == 3
    assert "no OCI layout" in answer.err
