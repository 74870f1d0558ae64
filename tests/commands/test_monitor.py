"""`dsvc monitor` writes what watches a model, and never over what somebody changed."""

from __future__ import annotations

import json

import pytest
import yaml


def test_init_writes_a_folder_and_is_safe_to_repeat(cli):
    written = cli.ok("monitor", "init", "churn", "watch", "--target", "model:8080").out.splitlines()
    names = ["prometheus.yml", "dsvc-churn.rules.yml", "alertmanager.yml", "dsvc-churn.dashboard.json"]
    assert written == [str(cli.directory / "watch" / name) for name in names]
    config = yaml.safe_load((cli.directory / "watch" / "prometheus.yml").read_text())
    assert config["scrape_configs"][0]["static_configs"] == [{"targets": ["model:8080"]}]
    cli.ok("monitor", "init", "churn", "watch", "--target", "model:8080")
    (cli.directory / "watch" / "alertmanager.yml").write_text("mine")
    refused = cli("monitor", "init", "churn", "watch", "--target", "other:8080")
    assert (refused.code, "is there already and differs" in refused.err) == (3, True)
    assert (cli.directory / "watch" / "alertmanager.yml").read_text() == "mine"
    cli.ok("monitor", "init", "churn", "watch", "--force")
    assert "receiver" in (cli.directory / "watch" / "alertmanager.yml").read_text()


def test_thresholds_stand_in_the_rules(cli):
    rules = yaml.safe_load(cli.ok("monitor", "rules", "churn", "--psi", "0.5", "--deployment", "eu").out)
    found = {rule["alert"]: rule["expr"] for rule in rules["groups"][0]["rules"] if "alert" in rule}
    assert found["DsvcDrift"] == 'last_over_time(dsvc_drift_psi{model="churn",deployment="eu"}[60s]) > 0.5'
    assert cli.ok("monitor", "rules", "churn", "--psi", "0.5", "--deployment", "eu", "--json").json["rules"] == rules


@pytest.mark.parametrize(
    "words",
    [
        ("--psi", "-1"), ("--psi", "nan"), ("--errors", "2"), ("--errors", "-0.1"), ("--latency", "0"),
        ("--latency", "inf"), ("--target", "nope"), ("--target", "a:99999"), ("--target", "http://a:80"),
        ("--target", "a:0"), ("--alertmanager", "here"), ("--webhook", "ftp://x"), ("--webhook", "http://"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_what_servers_would_refuse_or_never_tell_is_refused(cli, words):
    """Each is written by no command: not by `init`, nor is anything started on it, nor printed as rules."""
    for command in ("init", "up", "rules"):
        if command == "rules" and words[0] not in ("--psi", "--errors", "--latency"):
            continue
        if command == "up" and words[0] == "--alertmanager":
            continue
        done = cli("monitor", command, "churn", *words)
        assert (done.code, done.out) == (2, ""), command
        assert words[1] in done.err or "is none" in done.err
    assert not (cli.directory / "monitoring").exists()


def test_targets_that_are_addresses(cli):
    targets = "model:8080", "[::1]:80", "10.0.0.1:65535", "a-b.example.com:1"
    words = [word for each in targets for word in ("--target", each)]
    cli.ok("monitor", "init", "churn", "--webhook", "https://example.com/alerts?x=1", *words)


def test_the_dashboard_is_the_same_each_time(cli):
    first = cli.ok("monitor", "dashboard", "churn").out
    assert cli.ok("monitor", "dashboard", "churn").out == first
    found = json.loads(first)
    assert (found["title"], found["schemaVersion"]) == ("Model churn", 39)
    assert len({panel["id"] for panel in found["panels"]}) == len(found["panels"])
    assert json.loads(cli.ok("monitor", "dashboard", "other").out)["uid"] != found["uid"]


def test_a_prometheus_that_is_not_there(cli):
    done = cli("monitor", "status", "churn", "--prometheus", "http://127.0.0.1:9")
    assert (done.code, "does not answer" in done.err) == (14, True)
    assert cli("monitor", "status", "churn", "--prometheus", "ftp://x").code == 2
