"""The form of `[delivery]`."""

from __future__ import annotations

import pytest

from dsvc.delivery.steps import HOUR, BadDeliveryError, Event, read_delivery

GOOD = """
[delivery]
secrets = ["A_KEY"]
timeout = "2m"

[[delivery.steps]]
name = "deploy"
on = ["merge", "promote"]
refs = ["main", "churn@*"]
run = ["one", "two"]
secrets = ["B_KEY", "A_KEY"]
environment = {CHANNEL = "ml", N = 3, ON = true}

[[delivery.steps]]
uses = "slack"
settings = {slackUrl = "http://x"}
policy = "always"
timeout = 5
"""


def test_a_good_one(tmp_path):
    (tmp_path / "dsvc.toml").write_text(GOOD)
    deploy, tell = read_delivery(tmp_path)
    assert (deploy.commands, deploy.secrets, deploy.timeout) == (("one", "two"), ("A_KEY", "B_KEY"), 120.0)
    assert deploy.environment == {"CHANNEL": "ml", "N": "3", "ON": "true"}
    assert [deploy.follows(Event(*event)) for event in (("merge", "main"), ("promote", "churn@prod"))] == [True, True]
    assert [deploy.follows(Event(*event)) for event in (("merge", "side"), ("commit", "main"))] == [False, False]
    assert (tell.name, tell.uses, tell.timeout) == ("step-2", "slack", 5)
    assert tell.settings == {"PLUGIN_SLACK_URL": "http://x"}
    assert [tell.wants(failed=failed) for failed in (False, True)] == [True, True]
    assert [deploy.wants(failed=failed) for failed in (False, True)] == [True, False]


def test_none(tmp_path):
    assert read_delivery(tmp_path) == []
    (tmp_path / "dsvc.toml").write_text("[stages.a]\ncmd = 'x'\n")
    assert read_delivery(tmp_path) == []


def test_the_usual_time(tmp_path):
    (tmp_path / "dsvc.toml").write_text("[[delivery.steps]]\nrun = 'x'\n")
    assert read_delivery(tmp_path)[0].timeout == HOUR


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("run = 1", "neither a text nor a list"),
        ("run = 'x'\nuses = 'slack'", "either 'run'"),
        ("name = 'x'", "either 'run'"),
        ("uses = 'pager'", "uses 'pager'"),
        ("run = 'x'\non = 'push'", "follows 'push'"),
        ("run = 'x'\npolicy = 'sometimes'", "policy of step"),
        ("run = 'x'\ntimeout = 'soon'", "is no time"),
        ("run = 'x'\ntimeout = 0", "is no time"),
        ("run = 'x'\nsecrets = ['a b']", "list of names of variables"),
        ("run = 'x'\nenvironment = {'a b' = 'c'}", "no name of a variable"),
        ("run = 'x'\nimages = 'c'", "unknown key 'images'"),
        ("run = 'x'\n[[delivery.steps]]\nname = 'step-1'\nrun = 'y'", "two steps are called"),
        ("run = ", "dsvc.toml: "),
    ],
)
def test_bad_ones(tmp_path, text: str, why: str):
    (tmp_path / "dsvc.toml").write_text(f"[[delivery.steps]]\n{text}\n")
    with pytest.raises(BadDeliveryError, match=why):
        read_delivery(tmp_path)
