"""Say to a chat, or to another service, what became of a delivery: the plugins of Dotscience, without their images.

`python -m dsvc.delivery.plugins slack` posts to an incoming webhook, `... circleci` starts a pipeline. Both read the
variables that Dotscience's plugins read (`PLUGIN_SLACK_URL`, `PLUGIN_CHANNEL`, `PLUGIN_ICON_URL`, `PLUGIN_TEMPLATE`;
`PLUGIN_TOKEN`, `PLUGIN_USERNAME`, `PLUGIN_PROJECT`, `PLUGIN_VCS_TYPE`, `PLUGIN_BRANCH`, `PLUGIN_TAG`,
`PLUGIN_BUILD_PARAMETERS`, `PLUGIN_HOST`; `PLUGIN_STATUS` and what else says what happened).

Sources of the forms: api.slack.com/messaging/webhooks, circleci.com/docs/api/v2 (trigger a new pipeline).
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any, Final

_SECONDS = 30.0  # for an answer
_ATTEMPTS = 3
_ANSWER = 2000  # bytes of it that are looked at
_COLORS: Final = {"ok": "#00c853", "error": "#f44336", "terminated": "#2196f3"}
_SAID: Final = {
    "ok": "{project}: the delivery is done",
    "error": "{project}: the delivery has failed",
    "terminated": "{project}: the delivery was ended",
}
_FIELD = re.compile(r"\{\{\s*\.([A-Za-z]+)\s*\}\}")
# What a template may name, as Dotscience's did, and the variable that has it.
_FIELDS: Final = {
    "Project": "PLUGIN_PROJECT",
    "ProjectID": "PLUGIN_PROJECT_ID",
    "TaskID": "PLUGIN_TASK_ID",
    "RunnerID": "PLUGIN_RUNNER_ID",
    "Status": "PLUGIN_STATUS",
    "Event": "DSVC_EVENT",
    "Commit": "DSVC_COMMIT",
    "Ref": "DSVC_REF",
}


class PluginError(Exception):
    """It could not be said; the text names no secret."""


def slack(variables: Mapping[str, str]) -> dict[str, Any]:
    """Post a message to Slack's webhook; return what was posted.

    Raises:
        PluginError: when the webhook is not set, does not answer or refuses.
    """
    address = variables.get("PLUGIN_SLACK_URL") or variables.get("SLACK_URL", "")
    if not address:
        raise PluginError("the setting slackUrl, or the variable SLACK_URL, is not set")
    status = variables.get("PLUGIN_STATUS", "ok")
    text = _filled(variables.get("PLUGIN_TEMPLATE", ""), variables) or _usual(status, variables)
    message: dict[str, Any] = {
        "text": text,
        "attachments": [
            {
                "fallback": text,
                "color": _COLORS.get(status, "#9e9e9e"),
                "fields": [
                    {"title": title, "value": variables[name], "short": True}
                    for title, name in (("Event", "DSVC_EVENT"), ("On", "DSVC_REF"), ("Commit", "DSVC_COMMIT"))
                    if variables.get(name)
                ],
                "ts": int(time.time()),
            }
        ],
    }
    for key, name in (("channel", "PLUGIN_CHANNEL"), ("icon_url", "PLUGIN_ICON_URL")):
        if variables.get(name):
            message[key] = variables[name]
    _post(address, message, {}, "Slack")
    return message


def circleci(variables: Mapping[str, str]) -> dict[str, Any]:
    """Start a pipeline at CircleCI; return what was asked for.

    Raises:
        PluginError: when a setting is missing, or the service does not answer or refuses.
    """
    wanted = {
        "token": variables.get("PLUGIN_TOKEN") or variables.get("CIRCLECI_TOKEN", ""),
        "username": variables.get("PLUGIN_USERNAME", ""),
        "project": variables.get("PLUGIN_PROJECT", ""),
    }
    for name, value in wanted.items():
        if not value:
            raise PluginError(f"the setting {name} is not set")
    body: dict[str, Any] = {}
    for key, name in (("branch", "PLUGIN_BRANCH"), ("tag", "PLUGIN_TAG")):
        if variables.get(name):
            body[key] = variables[name]
    parameters = _parameters(variables.get("PLUGIN_BUILD_PARAMETERS", ""))
    if parameters:
        body["parameters"] = parameters
    parts = (variables.get("PLUGIN_VCS_TYPE") or "github", wanted["username"], wanted["project"])
    slug = "/".join(urllib.parse.quote(part, safe="") for part in parts)
    host = (variables.get("PLUGIN_HOST") or "https://circleci.com").rstrip("/")
    _post(f"{host}/api/v2/project/{slug}/pipeline", body, {"Circle-Token": wanted["token"]}, "CircleCI")
    return body


def _usual(status: str, variables: Mapping[str, str]) -> str:
    project = variables.get("PLUGIN_PROJECT") or "the project"
    return _SAID.get(status, "{project}: {status}").format(project=project, status=status)


def _filled(template: str, variables: Mapping[str, str]) -> str:
    """Return a template of Dotscience's with its fields filled in; of their language only `{{ .Name }}` is known."""

    def value(found: re.Match[str]) -> str:
        if found[1] not in _FIELDS:
            raise PluginError(f"the template names {found[1]}; there are {', '.join(_FIELDS)}")
        return variables.get(_FIELDS[found[1]], "")

    text = _FIELD.sub(value, template)
    if "{{" in text:
        raise PluginError("of templates only fields such as {{ .Status }} are understood")
    return text.strip()


def _parameters(text: str) -> dict[str, Any]:
    """Return build parameters: an object of JSON, or `name:value,name:value`."""
    if text.lstrip().startswith("{"):
        try:
            found = json.loads(text)
        except ValueError as error:
            raise PluginError(f"buildParameters is no JSON: {error}") from error
        return dict(found)
    pairs = (pair.partition(":") for pair in text.split(",") if pair.strip())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _post(address: str, body: Any, headers: Mapping[str, str], what: str) -> None:
    if urllib.parse.urlsplit(address).scheme not in ("http", "https"):
        raise PluginError(f"the address of {what} is none of the web")
    data = json.dumps(body).encode()
    for attempt in range(1, _ATTEMPTS + 1):
        request = urllib.request.Request(  # noqa: S310 - the scheme was checked
            address, data=data, headers={"Content-Type": "application/json", **headers}, method="POST"
        )
        try:
            with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310
                answer.read(_ANSWER)
            return
        except urllib.error.HTTPError as error:
            said = error.read(_ANSWER).decode("utf-8", "replace").strip()
            if error.code < 500 and error.code != 429:
                raise PluginError(f"{what} refuses it with status {error.code}: {said[:200]}") from None
            reason = f"status {error.code}"
        except (urllib.error.URLError, OSError) as error:
            reason = str(getattr(error, "reason", error))
        if attempt == _ATTEMPTS:
            raise PluginError(f"{what} does not answer as it should: {reason}")
        time.sleep(attempt)


def main() -> int:
    """Run the plugin that the command line names."""
    name = sys.argv[1] if len(sys.argv) == 2 else ""
    plugin = {"slack": slack, "circleci": circleci}.get(name)
    if plugin is None:
        sys.stderr.write("which plugin? slack or circleci\n")
        return 2
    try:
        plugin(os.environ)
    except PluginError as error:
        sys.stderr.write(f"{name}: {error}\n")
        return 1
    sys.stdout.write(f"{name}: said\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
