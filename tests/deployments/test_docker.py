"""`dsvc deploy --to docker` with a real engine."""

from __future__ import annotations

import http.server
import json
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

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


def test_without_an_engine(shop, tmp_path):
    pytest.importorskip("docker")
    shop.cli.environment["DOCKER_HOST"] = f"unix://{tmp_path}/none.sock"
    answer = shop.cli("deploy", "churn", "--to", "docker", "--base", str(shop.base))
    assert answer.code == 14
    assert "DOCKER_HOST" in answer.err
    assert shop.cli.ok("deploy", "list", "--json").json["deployments"] == []
