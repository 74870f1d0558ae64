"""The whole chain with the real programs: scrape, rules, alert, webhook; and every query of the dashboard."""

from __future__ import annotations

import http.server
import json
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest

from dsvc.actions.monitor import monitor_files
from dsvc.monitoring.dashboard import dashboard, queries
from dsvc.monitoring.prometheus import PrometheusError, histories, query
from dsvc.monitoring.rules import Watch
from tests.commands.conftest import cli
from tests.json_page import documented
from tests.serving.served import TIMEOUT, Served, serving
from tests.serving.test_program import write_folder

__all__ = ["cli"]

NEEDED = ("prometheus", "promtool", "prometheus-alertmanager", "amtool")
MISSING = [name for name in NEEDED if shutil.which(name) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")
INTERVAL = 1  # seconds between scrapes, and between evaluations of rules


def until(find, what):
    deadline = time.monotonic() + TIMEOUT
    while not (found := find()):
        assert time.monotonic() < deadline, what
        time.sleep(0.1)
    return found


def answers(address):
    try:
        with urllib.request.urlopen(f"{address}/-/ready", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def rows_of(served):
    """How many rows a server says that it was asked."""
    lines = served.ask("/metrics", headers={"Authorization": "Bearer only look"}).body.decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("dsvc_rows_total{"))


@dataclass
class Chain:
    """Two servers of a model and what `dsvc monitor up` started on them: what it says, and what a webhook is sent.

    `new` is served as the deployment of that name, and asks for a token.
    """

    prometheus: str
    watch: Watch
    new: Served
    said: list[dict]
    arrived: list[dict]

    def alerts(self, name, status="firing"):
        found = [alert for message in list(self.arrived) for alert in message["alerts"]]
        return [each for each in found if each["labels"]["alertname"] == name and each["status"] == status]

    def firing(self, **labels):
        """Names of alerts that fire, with the times when they began."""
        with urllib.request.urlopen(f"{self.prometheus}/api/v1/alerts", timeout=5) as answer:
            found = json.load(answer)["data"]["alerts"]
        return {
            each["labels"]["alertname"]: datetime.fromisoformat(each["activeAt"]).timestamp()
            for each in found
            if each["state"] == "firing" and all(each["labels"].get(k, "") == v for k, v in labels.items())
        }

    def values(self, selector):
        return [value for each in histories(self.prometheus, selector, 5) for value in each.values]

    def missed(self):
        """How many evaluations of rules Prometheus left out because the machine was busy."""
        with urllib.request.urlopen(f"{self.prometheus}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        name = "prometheus_rule_group_iterations_missed_total{"
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))

    def events(self, event):
        return [each for each in list(self.said) if each["event"] == event]

    def ask_new(self, rows):
        headers = {"Authorization": "Bearer open sesame"}
        answer = self.new.ask("/v1/models/wine:predict", {"instances": rows}, headers=headers)
        assert answer.status == 200


@pytest.fixture(scope="module")
def chain(wine, tmp_path_factory) -> Iterator[Chain]:
    base: Path = tmp_path_factory.mktemp("watch")
    arrived: list[dict] = []

    class Hook(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            arrived.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    hook = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=hook.serve_forever, daemon=True).start()
    (base / "token").write_text("open sesame")
    (base / "metrics").write_text("only look")
    write_folder(wine.cli, base / "model")
    words = ("--deployment", "new", "--min-samples", "100", "--token-file", str(base / "token"),
             "--metrics-token-file", str(base / "metrics"))  # fmt: skip
    with ExitStack() as stack:
        new = stack.enter_context(serving(base / "model", *words))
        targets = [each.address.removeprefix("http://") for each in (wine.served, new)]
        up = [sys.executable, "-m", "dsvc", "monitor", "up", "wine", "--target", targets[0], "--target", targets[1],
              "--interval", str(INTERVAL), "--webhook", f"http://127.0.0.1:{hook.server_port}/", "--port", "0",
              "--alertmanager-port", "0", "--dir", "kept", "--token-file", "metrics", "--json"]  # fmt: skip
        process = subprocess.Popen(up, cwd=base, stdout=subprocess.PIPE, env=wine.cli.environment, text=True)
        said: list[dict] = []
        reader = threading.Thread(target=lambda: said.extend(map(json.loads, process.stdout)), daemon=True)
        reader.start()
        try:
            until(lambda: said or process.poll() is not None, "nothing was said")
            addresses = said[0]["labels"]
            yield Chain(addresses["prometheus"], Watch("wine", interval=INTERVAL), new, said, arrived)
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(TIMEOUT) == 0
            hook.shutdown()
        for address in filter(None, addresses.values()):
            assert not answers(address), "something that was started did not end"


def test_up_says_what_runs_and_that_servers_are_scraped(chain, wine):
    ready = chain.events("ready")[0]
    assert [ready["version"], list(ready)[2:]] == list(documented()[ready["schema"]])
    assert answers(ready["labels"]["alertmanager"])
    wanted = {each.address.removeprefix("http://") for each in (wine.served, chain.new)}
    until(lambda: {each["labels"]["instance"] for each in chain.events("scraped")} == wanted, "not all are scraped")


def test_an_alert_follows_the_window_within_two_scrapes_and_one_evaluation(chain, wine):
    """Counted and not timed: a scrape and an evaluation may be late on a busy machine, and one more may not pass."""
    name, of = "DsvcDrift", '{model="wine",deployment="new"}'
    shifted = [[row[0] + 2, *row[1:]] for row in wine.rows]
    chain.ask_new(shifted[:99])
    until(lambda: query(chain.prometheus, f"dsvc_drift_samples{of} == 99"), "nothing was scraped")
    assert query(chain.prometheus, f"dsvc_drift_enough_data{of}")[0].value == 0
    assert not query(chain.prometheus, f"dsvc_drift_psi{of}")
    assert name not in chain.firing(deployment="new")
    chain.ask_new(shifted[99:100])
    full = time.time()
    fired = until(lambda: chain.firing(deployment="new", feature="alcohol").get(name), "no alert fires")
    instance = f'{{instance="{chain.new.address.removeprefix("http://")}"}}'
    enough = chain.values(f"dsvc_drift_enough_data{of}")
    seen = min(at for at, value in enough if value == 1)
    assert len([at for at, value in chain.values(f"up{instance}") if value == 1 and full < at <= seen]) <= 2
    took = next(value for at, value in chain.values(f"scrape_duration_seconds{instance}") if at == seen)
    stored = 0.5  # seconds that a busy Prometheus may need to store what it has read
    assert fired - seen <= INTERVAL * (1 + chain.missed()) + took + stored
    until(lambda: [each for each in chain.alerts(name) if each["labels"].get("deployment") == "new"], "not sent")
    until(lambda: [e for e in chain.events("firing") if e["labels"].get("deployment") == "new"], "not said")


def test_drift_arrives_as_an_alert_and_training_data_does_not(chain, wine):
    for _ in range(3):
        assert wine.served.ask("/v1/models/wine:predict", {"instances": wine.rows}).status == 200
    until(lambda: query(chain.prometheus, 'dsvc_drift_enough_data{deployment=""} == 1'), "nothing was scraped")
    evaluated = 'dsvc:drift_psi:max{model="wine",deployment=""} < 0.1'
    until(lambda: query(chain.prometheus, evaluated), "the rules were not evaluated")
    assert "DsvcDrift" not in chain.firing(deployment="")
    for _ in range(3):
        shifted = [[row[0] + 2, *row[1:]] for row in wine.rows]
        assert wine.served.ask("/v1/models/wine:predict", {"instances": shifted}).status == 200
    until(lambda: "DsvcDrift" in chain.firing(feature="alcohol"), "no alert fires")
    found = until(lambda: chain.alerts("DsvcDrift"), "no alert arrived")
    assert {each["labels"]["feature"] for each in found} >= {"alcohol"}
    assert "alcohol of wine is not what the model was trained on" in found[0]["annotations"]["summary"]
    # Links lead to where the programs listen, which the name of the host does not.
    addresses = chain.events("ready")[0]["labels"]
    assert found[0]["generatorURL"].startswith(addresses["prometheus"])
    assert {each["externalURL"] for each in list(chain.arrived)} == {addresses["alertmanager"]}
    assert not chain.alerts("DsvcModelDown")


def test_every_query_of_the_dashboard_is_one(chain, wine):
    wine.served.ask("/v1/models/wine:predict", {"instances": wine.rows[:3]})
    wine.served.ask("/v1/models/wine:predict", b"{")
    scraped = 'count_over_time(dsvc_rows_total{model="wine"}[1m]) > 2'
    until(lambda: query(chain.prometheus, scraped), "not scraped twice")
    empty = []
    for expr in queries(dashboard(chain.watch)):
        plain = expr.replace("$__rate_interval", "1m").replace("$feature", "alcohol")
        if not query(chain.prometheus, plain):
            empty.append(plain)
    # There are no categories among the inputs, and no numbers among the answers.
    assert all("category_total" in expr or "dsvc_output_bucket" in expr for expr in empty), empty
    assert len(empty) <= 2


def test_status_reads_it_and_gates_decide(chain, wine, cli):
    wine.served.ask("/v1/models/wine:predict", {"instances": wine.rows})
    until(lambda: query(chain.prometheus, 'rate(dsvc_requests_total{model="wine"}[5m]) > 0'), "no rate")
    words = ("monitor", "status", "wine", "--prometheus", chain.prometheus)
    shown = cli.ok(*words).out
    assert shown.split()[:2] == ["MODEL", "VERSION"]
    met = cli.ok(*words, "--gate", "error_rate < 0.5", "--gate", "samples >= 100", "--json").json
    assert [met["version"], list(met)[2:]] == list(documented()[met["schema"]])
    assert (met["ok"], met["servers"][0]["version"], met["servers"][0]["failed"]) == (True, "1", [])
    failed = cli(*words, "--gate", "requests > 1e6", "--json")
    assert (failed.code, failed.json["servers"][0]["failed"]) == (1, ["requests > 1e+06"])
    [new] = cli.ok("monitor", "status", "new", "--prometheus", chain.prometheus, "--json").json["servers"]
    assert (new["model"], new["deployment"]) == ("wine", "new")
    unknown = cli("monitor", "status", "beer", "--prometheus", chain.prometheus)
    assert (unknown.code, "knows no served model beer" in unknown.err) == (3, True)
    assert cli(*words, "--gate", "errors is low").code == 2


def test_two_deployments_are_compared(chain, wine, cli):
    """The new one is asked about wines of one grower, so that its answers are others; both count from their start."""
    chain.ask_new(wine.rows[-40:] * 3)
    wine.served.ask("/v1/models/wine:predict", {"instances": wine.rows})
    counts = {"wine": rows_of(wine.served), "new": rows_of(chain.new)}
    words = ("monitor", "compare", "wine", "new", "--prometheus", chain.prometheus)

    def seen():
        found = cli(*words, "--json").json
        return found if [sum(found[s]["answers"].values()) for s in "ab"] == [counts["wine"], counts["new"]] else None

    found = until(seen, "not all was scraped")
    assert [found["version"], list(found)[2:]] == list(documented()[found["schema"]])
    assert (found["a"]["versions"], found["b"]["psi"] > 0.2, found["ok"]) == (["1"], True, True)
    assert found["tests"]["answers"]["p"] < 1e-4 < found["derived"]["answers_distance"]
    assert found["tests"]["errors"]["p"] == 1
    failed = cli(*words, "--gate", "answers_distance < 0.001", "--gate", "errors_diff <= 0")
    assert (failed.code, "not met: answers_distance < 0.001" in failed.err) == (1, True)
    assert failed.out.split()[:2] == ["A:", "wine"]
    assert cli(*words[:3], "wine", "--prometheus", chain.prometheus).code == 2
    assert cli(*words[:3], "beer", "--prometheus", chain.prometheus).code == 3
    assert cli(*words[:3], "new@2", "--prometheus", chain.prometheus).code == 3
    assert cli(*words, "--gate", "taste > 3").code == 2


def test_a_query_that_is_none_is_refused(chain):
    with pytest.raises(PrometheusError, match=r"refuses a query: .*parse error"):
        query(chain.prometheus, "sum(")


@pytest.mark.parametrize(
    "watch",
    [
        Watch("churn"),
        Watch('team/"odd" \\ name', "blue-green", targets=("a:1", "b:2"), webhook="https://example.com/x"),
        Watch("churn", token_file="/etc/token", tls=True, interval=60),
    ],
    ids=["plain", "odd", "secret"],
)
def test_the_programs_accept_every_file(watch, tmp_path):
    if watch.token_file:
        watch = Watch(watch.model, token_file=str(tmp_path / "token"), tls=True)
        (tmp_path / "token").write_text("x")
    for name, text in monitor_files(watch).items():
        (tmp_path / name).write_text(text)
    rule_file = next(tmp_path.glob("*.rules.yml"))
    for words in (
        ["promtool", "check", "config", tmp_path / "prometheus.yml"],
        ["promtool", "check", "rules", rule_file],
        ["amtool", "check-config", tmp_path / "alertmanager.yml"],
    ):
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    json.loads(next(tmp_path.glob("*.dashboard.json")).read_text())
