"""Inside a container whose engine's socket was handed in: the engine tells the image and its digest."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingUnixStreamServer

import pytest

from dsvc.environments.environment import Container
from dsvc.environments.machine import find_container

OURS = "5e" * 32
ANSWERS = {
    f"/containers/{OURS}/json": {"Image": "sha256:c8", "Config": {"Image": "host:5000/team/train:2"}},
    "/images/sha256:c8/json": {"RepoDigests": ["other@sha256:" + "1" * 64, "host:5000/team/train@sha256:" + "2" * 64]},
}


class Engine(BaseHTTPRequestHandler):
    def do_GET(self):
        found = ANSWERS.get(self.path)
        self.send_response(200 if found else 404)
        self.end_headers()
        self.wfile.write(json.dumps(found or {"message": "No such object"}).encode())

    def address_string(self):
        return ""

    def log_message(self, *_):
        pass


@pytest.fixture
def root(tmp_path):
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "self" / "mountinfo").write_text(
        "99 82 254:0 /home/ada /q rw - ext4 /dev/vda rw\n"
        f"102 82 254:0 /var/lib/docker/containers/{OURS}/hostname /etc/hostname rw - ext4 /dev/vda rw\n"
    )
    (tmp_path / ".dockerenv").touch()
    return tmp_path


@pytest.fixture
def engine(root, monkeypatch):
    monkeypatch.chdir(root)  # a socket's path may have no more than 107 bytes
    (root / "var" / "run").mkdir(parents=True)
    with ThreadingUnixStreamServer("var/run/docker.sock", Engine) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield
        server.shutdown()
        thread.join()


def test_the_engine_tells_image_and_digest(root, engine):
    assert find_container({}, ".") == Container("docker", "host:5000/team/train:2", "sha256:" + "2" * 64)
    (root / "var" / "run" / "docker.sock").rename(root / "e.sock")
    assert find_container({}, ".") == Container("docker")
    assert find_container({"DOCKER_HOST": "unix://e.sock"}, ".").digest == "sha256:" + "2" * 64
    # What whoever started the container says is taken as it is.
    assert find_container({"DSVC_CONTAINER_IMAGE": "mine:1"}, ".") == Container("docker", "mine:1")


def test_an_engine_that_knows_nothing_of_it_or_does_not_answer(root, engine):
    mounts = root / "proc" / "self" / "mountinfo"
    mounts.write_text(mounts.read_text().replace(OURS, "6f" * 32))
    assert find_container({}, ".") == Container("docker")
    assert find_container({"DOCKER_HOST": "unix:///nowhere"}, ".") == Container("docker")
    (root / ".dockerenv").unlink()
    assert find_container({}, ".") is None


def test_a_socket_where_nobody_listens(root, engine):
    (root / "run" / "podman").mkdir(parents=True)
    (root / "run" / "podman" / "podman.sock").touch()
    (root / ".dockerenv").unlink()
    (root / "run" / ".containerenv").touch()
    (root / "proc" / "self" / "mountinfo").write_text(
        f"1 2 3 /containers/overlay-containers/{'7a' * 32}/userdata/hostname /etc/hostname rw - ext4 /dev/vda rw\n"
    )
    assert find_container({}, ".") == Container("podman")
