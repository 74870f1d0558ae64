"""`dsvc deploy --to docker` with a real engine."""

from __future__ import annotations

import http.client
import http.server
import json
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from tests.commands.conftest import CommandLine
from tests.images.shop import Shop
from tests.servers.ports import free_port

ALLOW = ("--env", "DSVC_SERVE_ALLOW_PICKLE=1")


@pytest.fixture
def engine(shop: Shop, docker_host: str) -> Shop:
    """The project, whose command line knows the engine."""
    shop.cli.environment["DOCKER_HOST"] = docker_host
    return shop


@contextmanager
def relayed(port: int) -> Iterator[str]:
    """The address of a server that repeats what the one at `port` answers."""

    class Relay(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{self.path}", timeout=10) as answer:
                body = answer.read()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Relay) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def ask(port: int) -> object:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/models/model:predict", json.dumps({"instances": [{"x": 3}]}).encode()
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def test_from_a_model_to_answers_and_back(engine, python_base):
    """One long story, since an image is loaded once: deploy, ask, verify, again, a new version, rollback, logs, rm."""
    cli, base, port = engine.cli, ("--base", str(python_base)), free_port(beside=1)
    cli.environment["SECRET"] = "of mine"
    words = ("--to", "docker", "--port", str(port), "--memory", "512Mi", "--env", "SECRET", *ALLOW)
    done = cli.ok("deploy", "churn", *base, *words, "--wait", "--timeout", "120", "--json").json
    assert (done["outcome"], done["changed"]) == ("new", ["churn-1"])
    assert done["spec"]["env"]["SECRET"] is None
    assert ask(port) == {"predictions": [6.0]}
    found = cli.ok("verify", f"http://127.0.0.1:{port}", "--json").json
    steps = {each["what"]: each["mark"] for each in found["edges"]}
    assert set(steps.values()) == {"proved"}
    assert "image" in steps
    with relayed(port) as elsewhere:  # whoever answers there may say so of any deployment
        found = cli.ok("verify", elsewhere, "--json").json
    (image,) = (each for each in found["edges"] if each["what"] == "image")
    assert (image["mark"], f"http://127.0.0.1:{port}" in image["text"]) == ("claimed", True)

    again = cli.ok("deploy", "churn", *base, "--json").json
    assert (again["outcome"], again["changed"]) == ("same", [])

    engine.train("b")
    second = cli.ok("deploy", "churn", *base, "--replicas", "2", "--wait", "--json").json
    assert second["changed"] == ["churn-1", "churn-2"]
    status = cli.ok("deploy", "status", "churn", "--json").json
    assert (status["state"], status["ready"], status["wanted"]) == ("ready", 2, 2)
    assert status["addresses"] == [f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port + 1}"]

    back = cli.ok("deploy", "rollback", "churn", *base, "--wait", "--json").json
    assert (back["number"], back["removed"]) == (1, ["churn-2"])
    assert "serving churn 1" in cli.ok("deploy", "logs", "churn").out

    cli.ok("deploy", "rm", "churn")
    with pytest.raises(OSError, match="refused"):
        ask(port)


def test_what_it_was_asked_comes_back_on_a_branch(engine, python_base):
    """The volume outlives the container: what the first one logged is finished when another takes its place."""
    from pyarrow import parquet

    cli, port = engine.cli, free_port()
    words = ("deploy", "churn", "--name", "logged", "--base", str(python_base))
    where = ("--to", "docker", "--port", str(port), *ALLOW, "--log-predictions", "1", "--wait")
    made = cli.ok(*words, *where, "--json").json
    try:
        assert made["spec"]["env"]["DSVC_SERVE_LOG_DIR"] == "/feedback"
        for _ in range(3):
            ask(port)
        assert "nothing new is finished" in cli.ok("monitor", "collect", "churn").err  # it is still being written
        engine.train("b")
        cli.ok(*words, "--wait")
        ask(port)
        found = cli.ok("monitor", "collect", "churn", "--json").json
        assert (found["branch"], found["files"], found["rows"]) == ("feedback/churn", 1, 3)
        assert cli.ok("monitor", "collect", "churn", "--json").json["rows"] == 0
        cli.ok(*words, "--log-predictions", "0", "--wait")
        ask(port)
        cli.ok(*words, "--log-predictions", "1", "--wait")
        assert cli.ok("monitor", "collect", "churn", "--json").json["rows"] == 1
        cli.ok("merge", "-q", "feedback/churn")
        table = parquet.read_table(cli.directory / "feedback" / "churn").to_pydict()
        assert (table["x"], table["_version"]) == ([3.0] * 4, ["1", "1", "1", "2"])
    finally:
        said = cli.ok("deploy", "rm", "logged").err
    assert "the volume logged-feedback" in said


def test_a_model_that_never_becomes_ready(engine, python_base):
    """Without the word that its code may run, the server ends; the error has what it said."""
    words = ("--to", "docker", "--port", str(free_port()), "--name", "refused", "--wait", "--timeout", "60")
    answer = engine.cli("deploy", "churn", "--base", str(python_base), *words)
    assert answer.code == 14
    assert "0 of 1 replicas" in answer.err
    assert "predictor.py" in answer.err
    assert engine.cli("deploy", "status", "refused").code == 1
    engine.cli.ok("deploy", "rm", "refused")


def containers(shop: Shop, name: str) -> dict[str, str]:
    """The containers of a deployment, by name, and their ids."""
    import docker

    with closing(docker.from_env(environment=shop.cli.environment)) as client:
        found = client.containers.list(all=True, filters={"label": f"dsvc.deployment={name}"})
        return {each.name: each.id for each in found}


def ports(shop: Shop, name: str) -> list[int]:
    """The ports of its containers, which share the network of their host."""
    import docker

    with closing(docker.from_env(environment=shop.cli.environment)) as client:
        told = [dict(each.split("=", 1) for each in client.containers.get(one).attrs["Config"]["Env"])
                for one in sorted(containers(shop, name))]  # fmt: skip
    return [int(each["DSVC_SERVE_PORT"]) for each in told]


def both(*lines: CommandLine, words: tuple[str, ...]) -> list[tuple[int, str]]:
    """Run one command for each command line, all at once, with a port each; their exit codes and what they say."""
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "dsvc", *words, "--port", str(free_port(beside=1))],
            cwd=each.directory, env=each.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )
        for each in lines
    ]  # fmt: skip
    said = [each.communicate(timeout=300)[1] for each in started]
    return [(each.returncode, text) for each, text in zip(started, said, strict=True)]


@pytest.mark.parametrize("repositories", ["one repository", "two repositories"])
def test_two_that_deploy_one_name_at_once(engine, python_base, tmp_path, repositories):
    """Each is done or refused, what runs at the end is all of one of them, and one more deploy brings its own."""
    first, words = engine.cli, ("deploy", "churn", "--base", str(python_base))
    second = first
    if repositories == "two repositories":
        shutil.copytree(first.directory, tmp_path / "other", symlinks=True)
        second = CommandLine(tmp_path / "other", first.environment)
    first.ok("build", *words[1:])
    try:
        for _ in range(2):  # where nothing was, and where something is
            for _ in range(5):  # where nothing was, both may be refused
                found = both(first, second, words=(*words, "--to", "docker", "--replicas", "2", *ALLOW))
                assert {code for code, _ in found} <= {0, 11}, found
                if any(code == 0 for code, _ in found):
                    break
            assert 0 in {code for code, _ in found}, found
            assert set(containers(engine, "churn")) == {"churn-1", "churn-2"}
            first_port, second_port = ports(engine, "churn")
            assert second_port == first_port + 1
        for each in (first, second):
            # One that was refused each time has no deployment whose settings it could keep.
            each.ok(*words, "--to", "docker", "--replicas", "2", *ALLOW, "--wait")
            assert each.ok("deploy", "status", "churn", "--json").json["ready"] == 2
    finally:
        first("deploy", "rm", "churn")
    assert containers(engine, "churn") == {}


def test_what_cannot_be_started_leaves_what_was_there(engine, python_base):
    """There is no such card, which an engine notices when it starts a container that it has made already."""
    cli, port, words = engine.cli, free_port(beside=1), ("deploy", "churn", "--base", str(python_base))
    answer = cli(*words, "--to", "docker", "--port", str(port), "--gpu", "1", *ALLOW)
    assert (answer.code, "Docker engine says" in answer.err) == (14, True)
    assert "is it running?" not in answer.err  # it answered
    assert containers(engine, "churn") == {}
    assert cli.ok("deploy", "list", "--json").json["deployments"] == []

    cli.ok(*words, "--to", "docker", "--port", str(port), "--replicas", "2", *ALLOW, "--wait")
    before = containers(engine, "churn")
    assert cli(*words, "--gpu", "1").code == 14
    assert containers(engine, "churn") == before
    again = cli.ok(*words, "--wait", "--json").json
    assert (again["outcome"], again["changed"]) == ("same", [])
    assert ask(port) == {"predictions": [6.0]}
    cli.ok("deploy", "rm", "churn")


def test_the_same_command_once_the_port_is_free(engine, python_base):
    """The engine starts the old container again and again: a rerun does not wait for what that one comes to."""
    import docker

    port = free_port()
    words = ("deploy", "churn", "--base", str(python_base), "--to", "docker", "--port", str(port), *ALLOW, "--wait")
    with socket.create_server(("127.0.0.1", port)):
        answer = engine.cli(*words)
        assert (answer.code, "Address already in use" in answer.err) == (14, True)
        with closing(docker.DockerClient(engine.cli.environment["DOCKER_HOST"])) as client:
            until = time.monotonic() + 60
            while client.containers.get("churn-1").status != "restarting" and time.monotonic() < until:
                time.sleep(0.01)
    done = engine.cli.ok(*words, "--json").json
    assert (done["outcome"], ask(port)) == ("same", {"predictions": [6.0]})
    engine.cli.ok("deploy", "rm", "churn")


def test_one_of_several_servers_always_answers(engine, python_base):
    """While another version takes their place, one after the other."""
    cli, port, words = engine.cli, free_port(beside=1), ("deploy", "churn", "--base", str(python_base))
    cli.ok(*words, "--to", "docker", "--port", str(port), "--replicas", "2", *ALLOW, "--wait")
    engine.train("b")
    end, gaps = threading.Event(), []

    def is_there(port: int) -> bool:
        try:
            return bool(ask(port))
        except (OSError, http.client.HTTPException):
            return False

    def look() -> None:
        while not end.wait(0.01):
            # The second goes only when the first is back, which is why that one is asked once more.
            if not any(map(is_there, (port, port + 1, port))):
                gaps.append(time.monotonic())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        cli.ok(*words)
    finally:
        end.set()
        thread.join()
    assert gaps == []
    cli.ok("deploy", "rm", "churn")


def test_what_a_killed_deploy_left_is_cleared_away(engine, python_base):
    """It was killed when the old container had made room, and the new one was not there yet."""
    import docker

    cli, words = engine.cli, ("deploy", "churn", "--base", str(python_base))
    cli.ok(*words, "--to", "docker", "--port", str(free_port()), *ALLOW, "--wait")
    with closing(docker.from_env(environment=cli.environment)) as client:
        client.containers.get("churn-1").rename("churn-1-before")
    assert cli("deploy", "status", "churn").code == 1
    assert cli.ok(*words, "--wait", "--json").json["outcome"] == "same"
    assert set(containers(engine, "churn")) == {"churn-1"}
    cli.ok("deploy", "rm", "churn")


def test_without_an_engine(shop, tmp_path):
    pytest.importorskip("docker")
    shop.cli.environment["DOCKER_HOST"] = f"unix://{tmp_path}/none.sock"
    answer = shop.cli("deploy", "churn", "--to", "docker", "--base", str(shop.base))
    assert answer.code == 14
    assert "DOCKER_HOST" in answer.err
    assert shop.cli.ok("deploy", "list", "--json").json["deployments"] == []
