"""The whole chain with the real programs: scrape, rules, alert, webhook; and every query of the dashboard."""

from __future__ import annotations

import http.server
import json
import shutil
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dsvc.actions.monitor import monitor_files, monitor_init
from dsvc.monitoring.dashboard import dashboard, queries
from dsvc.monitoring.prometheus import PrometheusError, query
from dsvc.monitoring.rules import Watch
from tests.commands.conftest import cli
from tests.json_page import documented
from tests.servers.ports import free_port
from tests.serving.conftest import wine, wine_project
from tests.serving.served import TIMEOUT

__all__ = ["cli", "wine", "wine_project"]

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


@dataclass
class Chain:
    """A served model, a Prometheus that scrapes it, an Alertmanager, and what arrived at the webhook."""

    prometheus: str
    watch: Watch
    arrived: list[dict] = field(default_factory=list)

    def alerts(self, name, status="firing"):
        found = [alert for message in list(self.arrived) for alert in message["alerts"]]
        return [each for each in found if each["labels"]["alertname"] == name and each["status"] == status]

    def firing(self):
        with urllib.request.urlopen(f"{self.prometheus}/api/v1/alerts", timeout=5) as answer:
            found = json.load(answer)["data"]["alerts"]
        return {each["labels"]["alertname"] for each in found if each["state"] == "firing"}


@pytest.fixture(scope="module")
def chain(wine, tmp_path_factory) -> Iterator[Chain]:
    folder: Path = tmp_path_factory.mktemp("watch")
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
    port, manager = free_port(), free_port()
    watch = Watch(
        "wine",
        targets=(wine.served.address.removeprefix("http://"),),
        interval=INTERVAL,
        webhook=f"http://127.0.0.1:{hook.server_port}/",
        alertmanager=f"127.0.0.1:{manager}",
    )
    monitor_init(watch, folder)
    programs = [
        ["prometheus", f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}",
         f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"],
        ["prometheus-alertmanager", f"--config.file={folder / 'alertmanager.yml'}",
         f"--storage.path={folder / 'alerts'}", f"--web.listen-address=127.0.0.1:{manager}",
         "--cluster.listen-address=", "--log.level=error"],
    ]  # fmt: skip
    running = [subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for words in programs]
    try:
        for number in (port, manager):
            until(lambda number=number: answers(f"http://127.0.0.1:{number}"), "a server did not start")
        yield Chain(f"http://127.0.0.1:{port}", watch, arrived)
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(TIMEOUT)
        hook.shutdown()


def test_drift_arrives_as_an_alert_and_training_data_does_not(chain, wine):
    for _ in range(3):
        assert wine.served.ask("/v1/models/wine:predict", {"instances": wine.rows}).status == 200
    until(lambda: query(chain.prometheus, "dsvc_drift_enough_data == 1"), "nothing was scraped")
    until(lambda: query(chain.prometheus, 'dsvc:drift_psi:max{model="wine"} < 0.1'), "the rules were not evaluated")
    assert "DsvcDrift" not in chain.firing()
    for _ in range(3):
        shifted = [[row[0] + 2, *row[1:]] for row in wine.rows]
        assert wine.served.ask("/v1/models/wine:predict", {"instances": shifted}).status == 200
    until(lambda: "DsvcDrift" in chain.firing(), "no alert fires")
    found = until(lambda: chain.alerts("DsvcDrift"), "no alert arrived")
    assert {each["labels"]["feature"] for each in found} >= {"alcohol"}
    assert "alcohol of wine is not what the model was trained on" in found[0]["annotations"]["summary"]
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
    met = cli.ok(*words, "--gate", "errors < 0.5", "--gate", "samples >= 100", "--json").json
    assert [met["version"], list(met)[2:]] == list(documented()[met["schema"]])
    assert (met["ok"], met["servers"][0]["version"], met["servers"][0]["failed"]) == (True, "1", [])
    failed = cli(*words, "--gate", "requests > 1e6", "--json")
    assert (failed.code, failed.json["servers"][0]["failed"]) == (1, ["requests > 1e+06"])
    unknown = cli("monitor", "status", "beer", "--prometheus", chain.prometheus)
    assert (unknown.code, "knows no served model beer" in unknown.err) == (3, True)
    assert cli(*words, "--gate", "errors is low").code == 2


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
