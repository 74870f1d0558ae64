"""What is posted to a chat and to another service."""

from __future__ import annotations

import pytest

from dsvc.delivery.plugins import PluginError, circleci, slack


def test_a_template_of_dotscience(listener):
    slack({
        "PLUGIN_SLACK_URL": listener.address, "PLUGIN_STATUS": "error", "PLUGIN_PROJECT": "demo", "DSVC_REF": "main",
        "PLUGIN_TEMPLATE": "{{ .Project }} is {{.Status}} on {{ .Ref }}", "PLUGIN_ICON_URL": "https://example.com/i.png",
    })  # fmt: skip
    _, _, message = listener.posts[0]
    assert message["text"] == message["attachments"][0]["fallback"] == "demo is error on main"
    assert (message["attachments"][0]["color"], message["icon_url"]) == ("#f44336", "https://example.com/i.png")


@pytest.mark.parametrize("template", ["{{ .Nothing }}", "{{if .OK}}x{{end}}"])
def test_templates_that_are_not_understood(listener, template):
    with pytest.raises(PluginError, match="template"):
        slack({"PLUGIN_SLACK_URL": listener.address, "PLUGIN_TEMPLATE": template})
    assert listener.posts == []


def test_a_refusal_is_said_and_not_tried_again(listener):
    listener.statuses = [404, 200]
    with pytest.raises(PluginError, match="Slack refuses it with status 404: no_such_channel"):
        slack({"PLUGIN_SLACK_URL": listener.address})
    assert len(listener.posts) == 1


@pytest.mark.parametrize("address", ["", "file:///etc/passwd"])
def test_no_address(address):
    with pytest.raises(PluginError):
        slack({"PLUGIN_SLACK_URL": address})


def test_parameters_as_dotscience_had_them(listener):
    asked = circleci({
        "PLUGIN_TOKEN": "t", "PLUGIN_USERNAME": "a/b", "PLUGIN_PROJECT": "p", "PLUGIN_HOST": listener.address + "/",
        "PLUGIN_BUILD_PARAMETERS": "x:1, y:two", "PLUGIN_VCS_TYPE": "bitbucket",
    })  # fmt: skip
    assert asked == {"parameters": {"x": "1", "y": "two"}}
    assert listener.posts[0][0] == "/api/v2/project/bitbucket/a%2Fb/p/pipeline"
    with pytest.raises(PluginError, match="the setting token is not set"):
        circleci({"PLUGIN_USERNAME": "a", "PLUGIN_PROJECT": "p"})
