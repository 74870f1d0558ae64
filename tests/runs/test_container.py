"""`dsvc run --container`: a real engine, if one can be started here."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace

import pytest

from dsvc.runs.container import Container
from tests.runs.conftest import files
from tests.servers.docker import docker
from tests.servers.podman import podman

__all__ = ["docker", "podman"]


@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_a_command_runs_in_an_image_and_its_files_are_its_outputs(project, engine, request):
    project.environment |= request.getfixturevalue(engine) | {"CHOSEN": "yes", "OTHER": "no"}
    script = "cat data.csv > copy.csv; echo $CHOSEN$OTHER $DSVC_CONTAINER_IMAGE; id -u; exit 3"
    words = ["run", "-i", "data.csv", "--env", "CHOSEN", "--container", "tiny", "--", "sh", "-c", script]
    done = project(*words)
    assert done.returncode == 3, done.stderr
    # podman knows an image by a digest that no registry has seen, too
    assert re.fullmatch(rb"yes tiny(@sha256:[0-9a-f]{64})?\n0\n", done.stdout)
    run = project.shown()
    assert (run["exit_code"], run["command"][:2]) == (3, ["sh", "-c"])
    assert files(run["inputs"]) == {"data.csv": "pinned"}
    assert files(run["outputs"]) == {"copy.csv": "pinned"}
    assert run["environment"] is None  # it is not that of this machine
    assert run["resources"] == {}
    container = run["metadata"]["container"]
    assert (container["engine"], container["image"]) == (engine, "tiny")
    assert container["id"].startswith("sha256:")
    again = project("rerun", "@", "--check")
    assert (again.returncode, again.stdout.endswith(b"in a container of its image: identical\n")) == (0, True)
    shown = project("env", "show", run["run"][12:22])
    assert "took place in a container of tiny" in shown.stderr.decode()
    project.sound()


def test_inside_the_image_is_known_with_its_digest():
    image = Container("/usr/bin/docker", "host:5000/train:2", "sha256:0", ("else@sha256:1", "host:5000/train@sha256:2"))
    assert image.name == "host:5000/train:2@sha256:2"
    assert replace(image, image="host:5000/train", digests=()).name == "host:5000/train"
    assert replace(image, image="train@sha256:3").name == "train@sha256:3"


def test_strace_does_not_see_into_a_container_and_that_is_told(project, podman):
    project.environment |= podman
    done = project("run", "--trace", "strace", "--container", "tiny", "--", "sh", "-c", ":")
    assert (done.returncode, b"strace does not see into a container" in done.stderr) == (0, True), done.stderr


def test_an_image_that_is_nowhere_and_an_engine_that_does_not_answer(project, docker, tmp_path):
    project.environment |= docker
    done = project("run", "--container", "nobody.invalid/nothing", "--", "true")
    assert done.returncode == 125
    assert b"docker has no image nobody.invalid/nothing" in done.stderr
    (tmp_path / "bin").mkdir()  # podman, which needs nobody who answers, is not there
    (tmp_path / "bin" / "docker").symlink_to(shutil.which("docker", path=docker["PATH"]))
    project.environment |= {"DOCKER_HOST": "unix:///nowhere", "PATH": str(tmp_path / "bin")}
    done = project("run", "--container", "tiny", "--", "true")
    assert done.returncode == 125
    assert b"no container engine answers" in done.stderr
    assert project.runs() == []


def test_a_step_without_commands_runs_the_program_of_its_image(project, docker):
    project.environment |= docker
    project.write(".dotscience.yml", "after:\n- {name: plugin, image: tiny, settings: {slackUrl: https://x.test}}\n")
    project.ok("run", "--after", "--", "true")
    said = (project.folder / "plugin.txt").read_text().splitlines()
    assert "PLUGIN_SLACK_URL=https://x.test" in said
    assert "PLUGIN_STATUS=ok" in said
