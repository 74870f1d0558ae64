"""Watch a served model from here: a Prometheus, an Alertmanager and a Grafana for as long as somebody looks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from http.client import HTTPException
from pathlib import Path
from threading import Event
from typing import Any, Final, Literal
from urllib.request import urlopen

from dsvc.actions.monitor import dump_dashboard, dump_yaml, monitor_init
from dsvc.actions.monitor_programs import (
    HERE,
    MissingProgramError,
    Program,
    end_programs,
    find_program,
    start_program,
    take_port,
    wait_until_ready,
)
from dsvc.monitoring.grafana import provisioning, variables
from dsvc.monitoring.rules import Watch

_GRAFANA_HOMES: Final = ("/usr/share/grafana", "/opt/grafana", "/usr/local/share/grafana")


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the programs listen on 127.0.0.1; 0 takes a free port."""

    prometheus: int = 9090
    alertmanager: int = 9093
    grafana: int = 3000


@dataclass(frozen=True, slots=True)
class UpResult:
    """Addresses of what runs, empty for what is not installed, and the folder with settings, data and logs."""

    prometheus: str
    alertmanager: str
    grafana: str
    folder: Path


@dataclass(frozen=True, slots=True)
class Noticed:
    """Something that has changed: a server that is scraped or is not, an alert that fires or has ended."""

    what: Literal["scraped", "not scraped", "firing", "ended"]
    text: str
    labels: Mapping[str, str] = field(default_factory=dict)


def monitor_up(
    watch: Watch,
    folder: Path,
    *,
    ports: Ports,
    environment: Mapping[str, str],
    ready: Callable[[UpResult], None],
    notice: Callable[[Noticed], None],
    stopped: Event,
) -> None:
    """Watch until `stopped` is set; `ready` is told when all answer, `notice` of each change from then on.

    The folder keeps what was measured for the next time. All that was started has ended when this returns or raises.

    Raises:
        MissingProgramError: when there is no Prometheus. PortTakenError. ProgramFailedError.
    """
    programs: list[Program] = []
    with ExitStack() as stack:
        stack.callback(end_programs, programs)
        result = _start(watch, folder, ports, environment, programs=programs, stopped=stopped)
        if stopped.is_set():
            return
        ready(result)
        seen = _Seen()
        while not stopped.wait(min(watch.interval, 5)):
            for program in programs:
                program.check()
            for noticed in seen.changes(result.prometheus):
                notice(noticed)


def _start(
    watch: Watch,
    folder: Path,
    ports: Ports,
    environment: Mapping[str, str],
    *,
    programs: list[Program],
    stopped: Event,
) -> UpResult:
    """Start what is installed, in the order in which they need each other."""
    prometheus = find_program(["prometheus"], environment)
    if prometheus is None:
        raise MissingProgramError(
            "there is no program 'prometheus' here",
            hint="apt install prometheus prometheus-alertmanager, or https://prometheus.io/download",
        )
    alertmanager = find_program(["alertmanager", "prometheus-alertmanager"], environment)
    grafana = find_program(["grafana", "grafana-server"], environment)
    port = take_port("Prometheus", ports.prometheus, "--port")
    alert_port = take_port("Alertmanager", ports.alertmanager, "--alertmanager-port") if alertmanager else 0
    grafana_port = take_port("Grafana", ports.grafana, "--grafana-port") if grafana else 0
    folder = folder.absolute()
    watch = replace(watch, alertmanager=f"{HERE}:{alert_port}" if alertmanager else "")
    monitor_init(watch, folder, force=True)

    def run(title: str, words: list[str], number: int, probe: str, more: Mapping[str, str] | None = None) -> str:
        address = f"http://{HERE}:{number}"
        log = folder / f"{title.lower()}.log"
        programs.append(start_program(title, words, address, log, {**environment, **(more or {})}))
        wait_until_ready(programs[-1], probe, stopped)
        return address

    found = {"alertmanager": "", "grafana": ""}
    if alertmanager is not None:
        words = [alertmanager, f"--config.file={folder / 'alertmanager.yml'}", f"--storage.path={folder / 'alerts'}",
                 *_web(alert_port), "--cluster.listen-address="]  # fmt: skip
        found["alertmanager"] = run("Alertmanager", words, alert_port, "/-/ready")
    words = [prometheus, f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}",
             *_web(port)]  # fmt: skip
    address = run("Prometheus", words, port, "/-/ready")
    if grafana is not None:
        place = folder / "grafana"
        _write_grafana(watch, place, address)
        words = [grafana, *(["server"] if Path(grafana).name == "grafana" else [])]
        home = next((each for each in _GRAFANA_HOMES if Path(each, "conf", "defaults.ini").is_file()), None)
        words += ["--homepath", home] if home is not None else []
        found["grafana"] = run("Grafana", words, grafana_port, "/api/health", variables(place, grafana_port))
    return UpResult(address, found["alertmanager"], found["grafana"], folder)


def _web(port: int) -> tuple[str, str]:
    """Where to listen, and what to call it in messages: by themselves they link to the host's name."""
    return f"--web.listen-address={HERE}:{port}", f"--web.external-url=http://{HERE}:{port}"


def _write_grafana(watch: Watch, place: Path, prometheus: str) -> None:
    dashboards = place / "dashboards"
    files = {f"provisioning/{name}": dump_yaml(each) for name, each in provisioning(prometheus, dashboards).items()}
    files[f"dashboards/{watch.job}.json"] = dump_dashboard(watch)
    for name, text in files.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")


class _Seen:
    """What Prometheus said last of servers and alerts."""

    def __init__(self) -> None:
        self._servers: dict[str, str] = {}
        self._alerts: dict[str, Noticed] = {}

    def changes(self, prometheus: str) -> Iterator[Noticed]:
        """Yield what is different from the last time; nothing while Prometheus does not answer."""
        try:
            servers = _asked(prometheus, "targets?state=active")["activeTargets"]
            alerts = _asked(prometheus, "alerts")["alerts"]
        except (OSError, HTTPException, ValueError, KeyError):
            return
        for each in servers:
            target, health = each["labels"]["instance"], each["health"]
            reason = each.get("lastError") or ""
            if health == "unknown" or self._servers.get(target) == health + reason:
                continue
            self._servers[target] = health + reason
            if health == "up":
                yield Noticed("scraped", f"{target} is scraped", {"instance": target})
            else:
                yield Noticed("not scraped", f"{target}: {reason or health}", {"instance": target})
        firing = {}
        for each in alerts:
            if each["state"] != "firing":
                continue
            labels = each["labels"]
            text = f"{labels['alertname']}: {each.get('annotations', {}).get('summary', '')}"
            firing[json.dumps(labels, sort_keys=True)] = Noticed("firing", text, labels)
        before, self._alerts = self._alerts, firing
        yield from (firing[key] for key in sorted(firing.keys() - before.keys()))
        for key in sorted(before.keys() - firing.keys()):
            yield replace(before[key], what="ended")


def _asked(prometheus: str, what: str) -> Any:
    with urlopen(f"{prometheus}/api/v1/{what}", timeout=10) as answer:  # noqa: S310 - an address of ours
        return json.load(answer)["data"]
