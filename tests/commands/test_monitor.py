"""`dsvc monitor` writes what watches a model, and never over what somebody changed."""

from __future__ import annotations

import json

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
