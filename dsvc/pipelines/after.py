"""Read the steps that follow a run from `.dotscience.yml`, as Dotscience's pipelines had them.

    kind: pipeline
    after:
    - name: notify                # of its run
      image: acme/notify:latest   # the container it runs in
      runPolicy: always           # on_success (also where there is none), on_failure or always
      commands: [./notify.sh]     # run by sh, ending with the first that fails; the image's own program without any
      environment: {CHANNEL: ml}  # variables
      settings: {apiUrl: https://example.com}   # PLUGIN_API_URL

Source of the form: docs.dotscience.com/tasks/using-pipelines, and the settings that its plugins read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, cast

from dsvc.errors import RequestError

FILE: Final = ".dotscience.yml"
Policy = Literal["on_success", "on_failure", "always"]
Status = Literal["ok", "error", "terminated"]
_POLICIES: Final = ("on_success", "on_failure", "always")
_LARGEST = 1 << 20  # bytes
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLUGIN = re.compile(r"(?:.*/)?dotscience-(slack|circleci)-plugin(?::[^/]*)?(?:@.*)?")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+")


class BadStepsError(RequestError):
    """`.dotscience.yml` describes no steps."""

    def __init__(self, message: str) -> None:
        super().__init__(f"{FILE}: {message}", hint="see the guide for people who come from Dotscience")


@dataclass(frozen=True, slots=True)
class Step:
    """What is done after a run."""

    name: str
    commands: tuple[str, ...] = ()
    image: str = ""
    policy: Policy = "on_success"
    environment: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)

    def wants(self, status: Status) -> bool:
        """Say whether it is to run after what ended with this status."""
        return self.policy == "always" or (self.policy == "on_success") == (status == "ok")

    @property
    def plugin(self) -> Literal["slack", "circleci"] | None:
        """The plugin of Dotscience that it is: dsvc does what those images did."""
        if self.commands:
            return None
        found = _PLUGIN.fullmatch(self.image)
        return cast("Literal['slack', 'circleci'] | None", found[1]) if found is not None else None

    @property
    def script(self) -> str:
        """Its commands as one text for `sh -e -c`."""
        return "\n".join(self.commands)


def read_steps(root: Path) -> list[Step]:
    """Return the steps in order; none where there is no such file.

    Raises:
        BadStepsError: when it is not of the form.
    """
    import yaml

    try:
        with open(root / FILE, "rb") as file:
            data = file.read(_LARGEST + 1)
    except FileNotFoundError:
        return []
    if len(data) > _LARGEST:
        raise BadStepsError(f"it has more than {_LARGEST >> 20} MiB")
    try:
        found = yaml.safe_load(data)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BadStepsError(" ".join(str(error).split())) from error
    if found is None:
        return []
    if not isinstance(found, dict) or found.get("kind", "pipeline") != "pipeline":
        raise BadStepsError("it is not of the kind 'pipeline'")
    steps = found.get("after") or []
    if not isinstance(steps, list):
        raise BadStepsError("'after' is not a list")
    return [_step(number, step) for number, step in enumerate(steps, 1)]


def plugin_name(setting: str) -> str:
    """Return the variable that stands for a setting: `PLUGIN_SLACK_URL` for `slackUrl` and `slack-url`."""
    return "PLUGIN_" + _HUMP.sub("_", setting).strip("_").upper()


def _step(number: int, step: Any) -> Step:
    if not isinstance(step, dict):
        raise BadStepsError(f"step {number} is not a map")
    name = step.get("name", f"step-{number}")
    if not isinstance(name, str) or not name:
        raise BadStepsError(f"step {number} has no valid name")
    commands, image = step.get("commands") or [], step.get("image") or ""
    if isinstance(commands, str):
        commands = [commands]
    if not isinstance(commands, list) or not all(isinstance(one, str) for one in commands):
        raise BadStepsError(f"'commands' of step {name} is not a list of texts")
    if not isinstance(image, str) or not (commands or image):
        raise BadStepsError(f"step {name} has neither commands nor an image")
    policy = str(step.get("runPolicy", "on_success")).replace("-", "_")
    if policy not in _POLICIES:
        raise BadStepsError(f"runPolicy of step {name} is not one of {', '.join(_POLICIES)}")
    environment = {key: _text(value) for key, value in _map(name, step, "environment").items()}
    for key in environment:
        if not _NAME.fullmatch(key):
            raise BadStepsError(f"step {name} sets {key!r}, which is no name of a variable")
    settings = {plugin_name(key): _text(value) for key, value in _map(name, step, "settings").items()}
    return Step(name, tuple(commands), image, cast("Policy", policy), environment, settings)


def _map(name: str, step: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = step.get(key) or {}
    if isinstance(found, list) and all(isinstance(one, str) and "=" in one for one in found):
        found = dict(one.split("=", 1) for one in found)
    if not isinstance(found, dict) or not all(isinstance(one, str) for one in found):
        raise BadStepsError(f"{key!r} of step {name} is not a map of names to values")
    return found


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return ""
    if isinstance(value, list) and not any(isinstance(item, (dict, list)) for item in value):
        return ",".join(map(_text, value))
    return json.dumps(value, default=str) if isinstance(value, (dict, list)) else str(value)
