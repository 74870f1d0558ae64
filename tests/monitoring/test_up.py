"""What `dsvc monitor up` does where something is missing, in the way, or ends; and what Grafana is told.

The chain with real servers is in test_prometheus.py. Grafana cannot be had here: a small program takes its place, which
says with what it was started.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
from contextlib import closing
from pathlib import Path
from threading import Event

import pytest
import yaml

from dsvc.actions.monitor_up import Ports, monitor_up
from dsvc.monitoring.dashboard import dashboard
from dsvc.monitoring.rules import Watch
from tests.commands.conftest import cli

__all__ = ["cli"]

needs_prometheus = pytest.mark.skipif(shutil.which("prometheus") is None, reason="not installed: prometheus")
GRAFANA = f"""#!{sys.executable}
import http.server, json, os, sys

class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/api/health" else 404)
        self.end_headers()

address = os.environ["GF_SERVER_HTTP_ADDR"], int(os.environ["GF_SERVER_HTTP_PORT"])
server = http.server.HTTPServer(address, Health)
told = {{name: value for name, value in os.environ.items() if name.startswith("GF_")}}
with open(os.path.join(os.environ["GF_PATHS_PROVISIONING"], "..", "told.json"), "w") as file:
    json.dump({{"words": sys.argv[1:], "variables": told}}, file)
server.serve_forever()
"""


def programs(folder: Path, *names: str) -> str:
    """A PATH on which only these programs are, and Grafana's stand-in where it is named."""
    folder.mkdir()
    for name in names:
        if name == "grafana":
            (folder / name).write_text(GRAFANA)
            (folder / name).chmod(0o755)
        else:
            os.symlink(shutil.which(name), folder / name)
    return str(folder)


@needs_prometheus
def test_grafana_is_told_of_prometheus_and_of_the_dashboard(tmp_path):
    path = programs(tmp_path / "bin", "prometheus", "grafana")
    watch, stopped, results = Watch("wine", "eu", targets=("127.0.0.1:1",)), Event(), []

    def ready(result):
        results.append(result)
        stopped.set()

    monitor_up(
        watch, tmp_path / "kept", ports=Ports(0, 0, 0), environment={"PATH": path}, ready=ready,
        notice=lambda noticed: None, stopped=stopped,
    )  # fmt: skip
    [result] = results
    place = tmp_path / "kept" / "grafana"
    told = json.loads((place / "told.json").read_text())
    assert told["words"][0] == "server"
    assert told["variables"]["GF_SERVER_HTTP_ADDR"] == "127.0.0.1"
    assert told["variables"]["GF_ANALYTICS_REPORTING_ENABLED"] == "false"
    provisioning = Path(told["variables"]["GF_PATHS_PROVISIONING"])
    [source] = yaml.safe_load((provisioning / "datasources" / "dsvc.yml").read_text())["datasources"]
    assert (source["type"], source["url"], source["isDefault"]) == ("prometheus", result.prometheus, True)
    [provider] = yaml.safe_load((provisioning / "dashboards" / "dsvc.yml").read_text())["providers"]
    [shown] = Path(provider["options"]["path"]).iterdir()
    assert json.loads(shown.read_text()) == dashboard(watch)
    assert result.alertmanager == ""  # it is not on this PATH
    assert "alerting" not in yaml.safe_load((tmp_path / "kept" / "prometheus.yml").read_text())
    with closing(socket.socket()) as probe:
        assert probe.connect_ex(("127.0.0.1", int(result.grafana.rpartition(":")[2]))) != 0


def test_what_is_missing_is_named(cli, tmp_path):
    cli.environment["PATH"] = programs(tmp_path / "bin")
    missing = cli("monitor", "up", "wine", "--target", "127.0.0.1:1", "--dir", "kept")
    assert (missing.code, "no program 'prometheus'" in missing.err, "apt install" in missing.err) == (3, True, True)
    assert not (cli.directory / "kept").exists()


@needs_prometheus
def test_a_port_that_is_taken(cli, tmp_path):
    cli.environment["PATH"] = programs(tmp_path / "bin", "prometheus")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        answer = cli("monitor", "up", "wine", "--target", "127.0.0.1:1", "--dir", "kept", "--port", port)
    assert (answer.code, f"127.0.0.1:{port}" in answer.err, "--port 0" in answer.err) == (3, True, True)


@needs_prometheus
def test_a_program_that_ends_says_why(cli, tmp_path):
    cli.environment["PATH"] = programs(tmp_path / "bin", "prometheus")
    (cli.directory / "kept").mkdir()
    (cli.directory / "kept" / "data").write_text("a file where Prometheus has its folder")
    answer = cli("monitor", "up", "wine", "--target", "127.0.0.1:1", "--dir", "kept", "--port", "0")
    assert (answer.code, "Prometheus ended with exit code" in answer.err, "data" in answer.err) == (3, True, True)


def test_outside_of_a_repository_a_folder_is_needed(cli):
    answer = cli("monitor", "up", "wine", "--target", "127.0.0.1:1")
    assert (answer.code, "--dir DIR" in answer.err) == (2, True)
