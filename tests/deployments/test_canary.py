"""`dsvc deploy --canary`: a new version beside the old one, and what decides between them."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from dsvc.actions.deploy_gate import read_gates, read_servers, watch_servers
from dsvc.errors import DsvcError
from dsvc.monitoring.prometheus import query
from tests.images.shop import Shop
from tests.servers.kubernetes_api import MONITORING, Cluster
from tests.servers.ports import free_port

GATE = ("--gate", "error_rate < 0.01")


def deploy(shop: Shop, *words: str, model: str = "churn") -> dict:
    return shop.cli.ok("deploy", model, "--base", str(shop.base), "--json", *words).json


def versions(shop: Shop) -> dict[str, int]:
    return {each["name"]: each["number"] for each in shop.cli.ok("deploy", "list", "--json").json["deployments"]}


def said(good: int, bad: int, seconds: float = 0.1) -> str:
    """The metrics of a server that answered so many requests."""
    total = good + bad
    return (
        '# TYPE dsvc_requests_total counter\ndsvc_requests_total{model="a\\"b",protocol="v1",code="200"} '
        f'{good}\ndsvc_requests_total{{model="a",protocol="v1",code="500"}} {bad}\n'
        f'dsvc_request_seconds_bucket{{model="a",le="{seconds / 2}"}} 0\n'
        f'dsvc_request_seconds_bucket{{model="a",le="{seconds}"}} {total}\n'
        f'dsvc_request_seconds_bucket{{model="a",le="+Inf"}} {total}\n'
        'dsvc_drift_psi{model="a",feature="x",side="input"} 0.3\ndsvc_drift_samples{model="a"} 250\n'
    )


def test_figures_are_those_of_all_servers_together():
    reading = read_servers([said(90, 10), said(100, 0)], seconds=10)
    assert reading.requests == 200
    assert reading.figures["errors"] == 0.05
    assert reading.figures["requests"] == 20
    assert reading.figures["p50"] == pytest.approx(0.075)
    assert (reading.figures["psi"], reading.figures["samples"]) == (0.3, 250)
    gates = read_gates(["error_rate < 0.01", "errors<=0.05", "latency_p99 < 1", "psi < 0.2"])
    assert [str(each) for each in reading.failed(gates)] == ["error_rate < 0.01", "psi < 0.2"]
    nothing = read_servers([""], seconds=10)
    assert len(nothing.failed(gates)) == 4
    assert nothing.broken(gates) == ()


def test_requests_from_before_the_look_are_no_rate():
    """Of a canary that stood for a while before `promote` looks at it."""
    answers = iter([said(150, 0), said(200, 0)])
    look = watch_servers(lambda: [next(answers)])
    assert (look(0.01).figures["requests"], look(10).figures["requests"]) == (None, 5)


@pytest.fixture
def there(shop: Shop, cluster: Cluster) -> Shop:
    """Version 1 in a cluster on four servers, and a second version."""
    shop.cli.environment["KUBECONFIG"] = cluster.config(shop.cli.directory.parent)
    cluster.know(MONITORING)
    deploy(shop, "--to", "k8s", "--replicas", "4", "--host", "churn.example.com")
    shop.train("b")
    return shop


def test_a_canary_gets_requests_by_the_service_and_is_promoted(there: Shop, cluster: Cluster):
    before = cluster.objects()
    done = deploy(there, "--canary", "20")
    assert (done["name"], done["canary"]["outcome"], done["canary"]["share"]) == ("churn-canary", "running", 20.0)
    assert versions(there) == {"churn": 1, "churn-canary": 2}
    now = cluster.objects()
    assert {key for key in now.keys() - before.keys() if key[0] != "Pod"} == {
        ("Deployment", "churn-canary"), ("ServiceAccount", "churn-canary")
    }  # fmt: skip
    chosen = now["Service", "churn"]["spec"]["selector"].items()
    pods = [each for (kind, _), each in now.items() if kind == "Pod"]
    assert len(pods) == 5
    assert all(chosen <= pod["metadata"]["labels"].items() for pod in pods)
    one, other = now["Deployment", "churn"]["spec"], now["Deployment", "churn-canary"]["spec"]
    assert one["selector"] == before["Deployment", "churn"]["spec"]["selector"]
    assert not other["selector"]["matchLabels"].items() <= one["template"]["metadata"]["labels"].items()
    for name, count in (("churn", 4), ("churn-canary", 1)):
        status = there.cli.ok("deploy", "status", name, "--json").json
        assert (status["ready"], status["wanted"]) == (count, count)
        assert len(there.cli.ok("deploy", "logs", name, "-n", "1").out.splitlines()) == count
    assert "canary of churn" in there.cli.ok("deploy", "list").out

    cluster.answers = lambda pod, path: said(200, 0) if (pod, path) == ("churn-canary-5d4f-1", "/metrics") else ""
    words = ("deploy", "promote", "churn", "--base", str(there.base), *GATE, "--during", "1", "--json")
    done = there.cli.ok(*words).json
    assert (done["name"], done["number"], done["canary"]["outcome"]) == ("churn", 2, "promoted")
    assert done["canary"]["figures"]["errors"] == 0
    assert versions(there) == {"churn": 2}
    assert ("Deployment", "churn-canary") not in cluster.objects()
    assert cluster.objects()["Deployment", "churn"]["spec"]["replicas"] == 4
    answer = there.cli(*words)
    assert (answer.code, "has no canary" in answer.err) == (3, True)


def test_a_canary_that_fails_is_taken_away(there: Shop, cluster: Cluster):
    cluster.answers = lambda _pod, _path: said(150, 50)
    before = {key: each["metadata"]["resourceVersion"] for key, each in cluster.objects().items()}
    words = ("--base", str(there.base), "--canary", "20", *GATE, "--during", "600", "--json")
    answer = there.cli("deploy", "churn", *words)  # long before its time is over
    assert answer.code == 1
    assert "error_rate < 0.01 is not met (0.25)" in answer.err
    assert json.loads(answer.err.splitlines()[-1])["details"]["figures"]["errors"] == 0.25
    assert versions(there) == {"churn": 1}
    assert {key: each["metadata"]["resourceVersion"] for key, each in cluster.objects().items()} == before


def test_what_tells_too_little_does_not_meet_a_gate(there: Shop, cluster: Cluster):
    cluster.answers = lambda _pod, _path: said(3, 0)
    answer = there.cli("deploy", "churn", "--base", str(there.base), "--canary", "20", *GATE, "--during", "1")
    assert (answer.code, "3 requests are too few to tell, it takes 100" in answer.err) == (1, True)
    assert versions(there) == {"churn": 1}


def test_a_canary_that_never_gets_ready_is_taken_away(there: Shop, cluster: Cluster):
    cluster.ready = lambda one: one["metadata"]["name"] != "churn-canary"
    answer = there.cli("deploy", "churn", "--base", str(there.base), "--canary", "20", *GATE)
    assert (answer.code, "cannot pull" in answer.err) == (14, True)
    assert answer.err.endswith("hint: dsvc deploy status churn; it is as it was, and its canary is gone\n")
    assert versions(there) == {"churn": 1}
    assert there.cli("deploy", "status", "churn").code == 0


def test_the_same_command_completes_what_was_broken_off(there: Shop, cluster: Cluster):
    """The canary was there, or it was promoted and not yet taken away."""
    words = ("--canary", "20", *GATE, "--during", "1", "--replicas", "3")
    deploy(there, "--canary", "20", "--replicas", "3")
    cluster.answers = lambda _pod, _path: said(200, 0)
    done = deploy(there, *words)
    assert (done["canary"]["outcome"], done["spec"]["replicas"], versions(there)) == ("promoted", 3, {"churn": 2})
    there.train("c")
    deploy(there, "--canary", "20")
    deploy(there)  # as far as a command came that was killed then
    assert versions(there) == {"churn": 3, "churn-canary": 3}
    done = deploy(there, "--canary", "20", *GATE)
    assert (done["canary"]["outcome"], done["outcome"], versions(there)) == ("promoted", "same", {"churn": 3})


def test_rm_takes_the_canary_along(there: Shop, cluster: Cluster):
    deploy(there, "--canary", "20")
    there.cli.ok("deploy", "rm", "churn")
    assert (versions(there), cluster.objects()) == ({}, {})


def test_manifests_of_a_canary_lie_in_a_folder_of_their_own(shop: Shop):
    validate = pytest.importorskip("kubernetes_validate")
    deploy(shop, "--to", "manifest", "--replicas", "9")
    shop.train("b")
    done = deploy(shop, "--canary", "10")
    folder = shop.cli.directory / "deploy" / "churn-canary"
    assert (done["place"], done["spec"]["replicas"]) == ("deploy/churn-canary", 1)
    assert {each.name for each in folder.iterdir()} == {
        "deployment.yaml", "serviceaccount.yaml", "kustomization.yaml"
    }  # fmt: skip
    validate.validate(yaml.safe_load((folder / "deployment.yaml").read_text()), validate.latest_version(), strict=True)
    assert shop.cli("deploy", "promote", "churn", "--base", str(shop.base), *GATE).code == 3  # nobody can be asked
    done = shop.cli.ok("deploy", "promote", "churn", "--base", str(shop.base), "--json").json
    assert (done["number"], done["spec"]["replicas"], folder.exists()) == (2, 9, False)


def test_what_makes_no_sense(shop: Shop):
    base = ("--base", str(shop.base))
    assert "and a canary stands beside one" in shop.cli("deploy", "churn", *base, "--canary", "10").err
    assert "--gate is for a canary" in shop.cli("deploy", "churn", *base, "--to", "manifest", *GATE).err
    deploy(shop, "--to", "manifest")
    shop.train("b")
    for words, text in [
        (("--canary", "0"), "no share"), (("--canary", "10", "--gate", "nice < 1"), "is no gate"),
        (("--canary", "10", *GATE), "nothing to look at yet"), (("--canary", "10", "--to", "docker"), "so is its"),
    ]:  # fmt: skip
        answer = shop.cli("deploy", "churn", *base, *words)
        assert (answer.code, text in answer.err) == (2, True), answer.err
    assert versions(shop) == {"churn": 1}


@contextmanager
def asked(port: int, value: object) -> Iterator[None]:
    """Somebody who asks a server at a port, again and again."""
    end = threading.Event()
    body = json.dumps({"instances": [{"x": value}]}).encode()

    def ask() -> None:
        while not end.wait(0.02):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models/model:predict", body, timeout=5).close()
            except (OSError, urllib.error.URLError):
                pass

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join(20)


def test_with_an_engine_the_servers_are_asked(shop: Shop, docker_host: str, python_base):
    shop.cli.environment["DOCKER_HOST"] = docker_host
    port = free_port(beside=1)
    words = ("deploy", "churn", "--name", "tried", "--base", str(python_base))
    shop.cli.ok(*words, "--to", "docker", "--port", str(port), "--env", "DSVC_SERVE_ALLOW_PICKLE=1", "--wait")
    shop.train("b")
    gates = ("--canary", "50", "--gate", "error_rate < 0.5", "--min-requests", "5", "--during", "2")
    try:
        with asked(port + 1, "no number"):
            answer = shop.cli(*words, *gates)
        assert (answer.code, "error_rate < 0.5 is not met (1)" in answer.err) == (1, True), answer.err
        assert versions(shop) == {"tried": 1}
    finally:
        removed = shop.cli.ok("deploy", "rm", "tried", "--json").json["removed"]
    assert removed == ["tried-1"]


@contextmanager
def prometheus(folder: Path) -> Iterator[str]:
    """A real one on what `dsvc monitor init` wrote into a folder."""
    port = free_port()
    words = ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
             f"--web.listen-address=127.0.0.1:{port}"]  # fmt: skip
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(words, cwd=folder, stdout=log, stderr=log)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def until_scraped(address: str, expression: str) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        try:
            if query(address, expression):
                return
        except DsvcError:
            pass  # it does not answer yet
        time.sleep(0.2)
    raise AssertionError(f"{address} never saw {expression}")


@pytest.mark.skipif(shutil.which("prometheus") is None, reason="needs prometheus")
def test_a_real_prometheus_decides(shop: Shop, docker_host: str, python_base):
    """It does not know a canary that has just begun; then what it has scraped decides, in both ways."""
    cli = shop.cli
    cli.environment["DOCKER_HOST"] = docker_host
    port = free_port(beside=1)
    words = ("deploy", "churn", "--name", "seen", "--base", str(python_base))
    cli.ok(*words, "--to", "docker", "--port", str(port), "--env", "DSVC_SERVE_ALLOW_PICKLE=1", "--wait")
    target = ("--target", f"127.0.0.1:{port + 1}", "--interval", "1")
    cli.ok("monitor", "init", "churn", "watch", "--deployment", "seen-canary", *target)
    try:
        with prometheus(cli.directory / "watch") as address:
            gates = ("--gate", "error_rate < 0.5", "--prometheus", address)
            until_scraped(address, "vector(1)")
            shop.train("b")
            with asked(port + 1, "no number"):
                told = ("--canary", "50", *gates, "--min-requests", "5", "--during", "120")
                answer = cli(*words, *told)
            assert (answer.code, "error_rate < 0.5 is not met (1)" in answer.err) == (1, True), answer.err
            assert versions(shop) == {"seen": 1}
            shop.train("c")
            cli.ok(*words, "--canary", "50", "--wait")
            with asked(port + 1, 3):
                until_scraped(address, 'dsvc_requests_total{version="3",code="200"} > 20')
                back = ("deploy", "promote", "seen", "--base", str(python_base), "--json")
                done = cli.ok(*back, *gates, "--min-requests", "20", "--during", "1").json
            assert (done["number"], done["canary"]["figures"]["errors"]) == (3, 0)
            assert versions(shop) == {"seen": 3}
    finally:
        cli.ok("deploy", "rm", "seen")
