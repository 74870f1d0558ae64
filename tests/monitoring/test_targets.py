"""A deployment that is recorded says itself where it is served."""

from __future__ import annotations

import yaml

from tests.images.shop import Shop


def test_a_deployment_says_where_it_is_served(shop: Shop):
    cli = shop.cli
    words = ("--base", str(shop.base), "--to", "compose", "--name", "churn-eu", "--replicas", "2", "--port", "9000")
    cli.ok("deploy", "churn", *words, "--env", "DSVC_SERVE_NAME=leavers")
    cli.ok("monitor", "init", "-q", "churn-eu", "watch")
    [job] = yaml.safe_load((cli.directory / "watch" / "prometheus.yml").read_text())["scrape_configs"]
    assert job["static_configs"] == [{"targets": ["127.0.0.1:9000", "127.0.0.1:9001"]}]
    rules = (cli.directory / "watch" / "dsvc-churn-eu.rules.yml").read_text()
    assert '{model="leavers",deployment="churn-eu"}' in rules

    assert '{model="leavers",deployment="churn-eu"}' in cli.ok("monitor", "rules", "churn-eu").out

    cli.ok("monitor", "init", "-q", "churn-eu", "other", "--target", "elsewhere:80", "--token-file", "/run/token")
    [job] = yaml.safe_load((cli.directory / "other" / "prometheus.yml").read_text())["scrape_configs"]
    assert job["static_configs"] == [{"targets": ["elsewhere:80"]}]
    assert job["authorization"] == {"type": "Bearer", "credentials_file": "/run/token"}


def test_what_is_in_a_cluster_cannot_be_seen_from_here(shop: Shop):
    cli = shop.cli
    cli.ok("deploy", "churn", "--base", str(shop.base), "--to", "manifest")
    answer = cli("monitor", "up", "churn")
    assert (answer.code, "--target HOST:PORT" in answer.err) == (2, True)
