"""What the alert rules say of a story of samples, by Prometheus' own test of rules."""

from __future__ import annotations

import shutil
import subprocess

import pytest
import yaml

from dsvc.actions.monitor import dump_yaml
from dsvc.monitoring.rules import Watch, rules

pytestmark = pytest.mark.skipif(shutil.which("promtool") is None, reason="not installed: promtool")
UP = 'up{job="dsvc-wine",instance="%s"}'
INFO = 'dsvc_model_info{model="wine",version="1"}'
PSI = 'dsvc_drift_psi{model="wine",version="1",feature="ash",side="input"}'


def told(folder, series, *, at, alert):
    """Which alerts of a name fire at a second, by what they say; samples are 15 seconds apart, `_` is a lost scrape."""
    (folder / "rules.yml").write_text(dump_yaml(rules(Watch("wine"))))
    story = {
        "rule_files": ["rules.yml"], "evaluation_interval": "15s",
        "tests": [{"interval": "15s", "input_series": [{"series": k, "values": v} for k, v in series.items()],
                   "alert_rule_test": [{"eval_time": f"{at}s", "alertname": alert, "exp_alerts": []}]}],
    }  # fmt: skip
    (folder / "story.yml").write_text(yaml.safe_dump(story))
    words = ["promtool", "test", "rules", "story.yml"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    found = [line for line in (done.stdout + done.stderr).splitlines() if "summary=" in line]
    assert done.returncode == (1 if found else 0), done.stdout + done.stderr
    return found


def test_a_server_that_is_down_is_told_once(tmp_path):
    series = {UP % "a:1": "1 1 0x20", INFO: "1 1 stale"}
    assert told(tmp_path, series, at=75, alert="DsvcModelDown") == []
    [said] = told(tmp_path, series, at=300, alert="DsvcModelDown")
    assert "wine at a:1 does not answer" in said


def test_a_model_that_nobody_scrapes_is_told(tmp_path):
    [said] = told(tmp_path, {UP % "other:1": "1x40"}, at=300, alert="DsvcModelDown")
    assert "wine does not answer" in said


def test_a_server_that_was_scraped_before_at_another_port_is_not_down(tmp_path):
    """Prometheus was started anew with another target, on what it had measured: nothing marks the old one as gone."""
    series = {UP % "a:1": "0 0 _x30", UP % "a:2": "_ _ 1x30", INFO: "_ _ 1x30"}
    for at in (60, 120, 240):
        assert told(tmp_path, series, at=at, alert="DsvcModelDown") == []


def test_a_lost_scrape_does_not_end_drift(tmp_path):
    series = {PSI: "0.5 0.5 stale 0.5 stale stale stale stale stale stale"}
    for at in (0, 15, 30, 45, 60):
        assert len(told(tmp_path, series, at=at, alert="DsvcDrift")) == 1
    assert told(tmp_path, series, at=150, alert="DsvcDrift") == []
    assert told(tmp_path, {PSI: "0.1x10"}, at=60, alert="DsvcDrift") == []
