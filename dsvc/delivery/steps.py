"""Read the steps that follow a change from `[delivery]` in `dsvc.toml`.

    [delivery]
    secrets = ["REGISTRY_PASSWORD"]  # variables that steps need; what they hold is masked in all that is kept
    timeout = "1h"                   # of a step

    [[delivery.steps]]
    name = "deploy"                  # of its run
    on = ["merge", "promote"]        # commit, merge, tag, promote; all where it is left out
    refs = ["main", "churn@prod"]    # patterns of branches, tags, or models and their stages
    run = "dsvc deploy churn@prod --to k8s --wait"     # or a list of commands, of which the first that fails ends it
    image = "python:3.12"            # the container that it runs in
    policy = "on_success"            # on_success, on_failure or always: what became of the steps before
    uses = "slack"                   # slack or circleci, in place of `run`
    settings = {slackUrl = "..."}    # of it: PLUGIN_SLACK_URL
    environment = {CHANNEL = "ml"}
    secrets = ["SLACK_URL"]
    timeout = "10m"

Unknown keys are errors, and no two steps may have one name.
"""

from __future__ import annotations

import fnmatch
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, cast, get_args

from dsvc.errors import RequestError
from dsvc.pipelines.after import plugin_name

FILE: Final = "dsvc.toml"
EventKind = Literal["commit", "merge", "tag", "promote"]
EVENTS: Final[tuple[EventKind, ...]] = get_args(EventKind)
Policy = Literal["on_success", "on_failure", "always"]
Plugin = Literal["slack", "circleci"]
PLUGINS: Final[tuple[Plugin, ...]] = get_args(Plugin)
_POLICIES: Final[tuple[Policy, ...]] = get_args(Policy)
_KEYS = frozenset(
    {"name", "on", "refs", "run", "image", "policy", "uses", "settings", "environment", "secrets", "timeout"}
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TIME = re.compile(r"(\d+(?:\.\d+)?)\s*([smh]?)")
_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600}
HOUR: Final = 3600.0  # the time that a step has where nothing is said


class BadDeliveryError(RequestError):
    """`[delivery]` describes no steps."""

    def __init__(self, message: str) -> None:
        super().__init__(f"{FILE}: {message}", hint="see the guide on delivery for the form of a step")


class Event(NamedTuple):
    """What happened: its kind, and the branch, the tag, or the model and its stage that it happened to."""

    kind: EventKind
    ref: str


@dataclass(frozen=True, slots=True)
class DeliveryStep:
    """What is done; `timeout` in seconds."""

    name: str
    on: frozenset[EventKind] = frozenset(EVENTS)
    refs: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    image: str = ""
    policy: Policy = "on_success"
    uses: Plugin | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    timeout: float = HOUR

    def follows(self, event: Event) -> bool:
        """Say whether it is one of the steps of an event."""
        return event.kind in self.on and (
            not self.refs or any(fnmatch.fnmatchcase(event.ref, pattern) for pattern in self.refs)
        )

    def wants(self, *, failed: bool) -> bool:
        """Say whether it is to run, given whether a step before failed."""
        return self.policy == "always" or (self.policy == "on_failure") == failed


def read_delivery(root: Path) -> list[DeliveryStep]:
    """Return the steps in order; none where there is no such file, or nothing of delivery in it.

    Raises:
        BadDeliveryError: when they are not of the form.
    """
    try:
        data = (root / FILE).read_bytes()
    except FileNotFoundError:
        return []
    try:
        table = tomllib.loads(data.decode()).get("delivery", {})
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadDeliveryError(str(error)) from error
    if not isinstance(table, dict) or not isinstance(table.get("steps", []), list):
        raise BadDeliveryError("'delivery' is no table with a list of steps")
    unknown = table.keys() - {"steps", "secrets", "timeout"}
    if unknown:
        raise BadDeliveryError(f"'delivery' has the unknown key {sorted(unknown)[0]!r}")
    secrets = _names("delivery", table, "secrets")
    seconds = _seconds("delivery", table.get("timeout"), HOUR)
    steps = [_step(number, step, secrets, seconds) for number, step in enumerate(table.get("steps", []), 1)]
    twice = {step.name for step in steps if sum(other.name == step.name for other in steps) > 1}
    if twice:
        raise BadDeliveryError(f"two steps are called {sorted(twice)[0]!r}")
    return steps


def _step(number: int, table: Any, secrets: Sequence[str], seconds: float) -> DeliveryStep:
    if not isinstance(table, dict):
        raise BadDeliveryError(f"step {number} is not a table")
    name = table.get("name", f"step-{number}")
    if not isinstance(name, str) or not name.strip():
        raise BadDeliveryError(f"step {number} has no valid name")
    unknown = table.keys() - _KEYS
    if unknown:
        raise BadDeliveryError(f"step {name} has the unknown key {sorted(unknown)[0]!r}")
    on = _texts(name, table, "on") or list(EVENTS)
    for event in on:
        if event not in EVENTS:
            raise BadDeliveryError(f"step {name} follows {event!r}, which is none of {', '.join(EVENTS)}")
    policy, uses = table.get("policy", "on_success"), table.get("uses")
    if policy not in _POLICIES:
        raise BadDeliveryError(f"the policy of step {name} is none of {', '.join(_POLICIES)}")
    if uses is not None and uses not in PLUGINS:
        raise BadDeliveryError(f"step {name} uses {uses!r}, which is none of {', '.join(PLUGINS)}")
    commands, image = tuple(_texts(name, table, "run")), table.get("image", "")
    if not isinstance(image, str):
        raise BadDeliveryError(f"'image' of step {name} is not a text")
    if (uses is None) == (not commands and not image) or (uses is not None and (commands or image)):
        raise BadDeliveryError(f"step {name} needs either 'run', or 'image', or 'uses'")
    environment = _map(name, table, "environment")
    for key in environment:
        if not _NAME.fullmatch(key):
            raise BadDeliveryError(f"step {name} sets {key!r}, which is no name of a variable")
    return DeliveryStep(
        name=name,
        on=frozenset(cast("list[EventKind]", on)),
        refs=tuple(_texts(name, table, "refs")),
        commands=commands,
        image=image,
        policy=policy,
        uses=uses,
        settings={plugin_name(key): value for key, value in _map(name, table, "settings").items()},
        environment=environment,
        secrets=tuple(dict.fromkeys((*secrets, *_names(f"step {name}", table, "secrets")))),
        timeout=_seconds(f"step {name}", table.get("timeout"), seconds),
    )


def _texts(name: str, table: Mapping[str, Any], key: str) -> list[str]:
    value = table.get(key, [])
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list) or not all(isinstance(text, str) and text.strip() for text in value):
        raise BadDeliveryError(f"{key!r} of step {name} is neither a text nor a list of texts")
    return value


def _names(what: str, table: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = table.get(key, [])
    if not isinstance(value, list) or not all(isinstance(one, str) and _NAME.fullmatch(one) for one in value):
        raise BadDeliveryError(f"{key!r} of {what} is not a list of names of variables")
    return tuple(value)


def _map(name: str, table: Mapping[str, Any], key: str) -> dict[str, str]:
    value = table.get(key, {})
    if not isinstance(value, dict) or not all(isinstance(one, (str, int, float)) for one in value.values()):
        raise BadDeliveryError(f"{key!r} of step {name} is not a table of texts")
    return {key: (str(one).lower() if isinstance(one, bool) else str(one)) for key, one in value.items()}


def _seconds(what: str, value: Any, usual: float) -> float:
    """Return seconds of a number, or of a text such as `90s`, `10m`, `2h`."""
    if value is None:
        return usual
    found = _TIME.fullmatch(str(value)) if isinstance(value, (str, int, float)) else None
    seconds = float(found[1]) * _UNITS[found[2]] if found is not None else 0.0
    if isinstance(value, bool) or not seconds:
        raise BadDeliveryError(f"'timeout' of {what} is no time such as '90s', '10m' or '2h'")
    return seconds
