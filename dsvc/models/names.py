"""Names of models, their versions and stages, and of the refs that keep them. See docs/formats/model.md.

`models/NAME/versions/N` is made once; `models/NAME/stages/STAGE` moves from version to version. A name may have
slashes, so the last two parts of a ref say what it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from dsvc.errors import UsageError
from dsvc.refs.names import MODELS, BadRefNameError, check_name

MAX_VERSION = 999_999_999
_VERSIONS, _STAGES = "versions", "stages"
_NUMBER = re.compile(r"[1-9]\d{0,8}")
_REF = re.compile(rf"{MODELS}(.+)/(?:{_VERSIONS}/([1-9]\d{{0,8}})|{_STAGES}/([^/]+))")


class BadModelNameError(UsageError):
    """A text that no model, version or stage may be called."""


@dataclass(frozen=True, slots=True)
class ModelRef:
    """What a ref stands for: a version of a model, or a stage of it."""

    name: str
    version: int | None = None
    stage: str = ""


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What people write: `churn` (the newest version), `churn@3`, `churn@prod`."""

    name: str
    version: int | None = None
    stage: str = ""

    def __str__(self) -> str:
        if self.version is not None:
            return f"{self.name}@{self.version}"
        return f"{self.name}@{self.stage}" if self.stage else self.name


def parse_ref(ref: str) -> ModelRef | None:
    """Return what a full ref name stands for, or None where it is not of their form."""
    found = _REF.fullmatch(ref)
    if found is None:
        return None
    return ModelRef(found[1], int(found[2]) if found[2] else None, found[3] or "")


def parse_spec(text: str) -> ModelSpec:
    """Take apart what a person wrote; `models/` and `model/` before it are left out.

    Raises:
        BadModelNameError: when it can name no model.
    """
    short = text.removeprefix(MODELS).removeprefix("model/")
    name, at, rest = short.partition("@")
    check_model_name(name)
    if not at:
        return ModelSpec(name)
    if _NUMBER.fullmatch(rest):
        return ModelSpec(name, version=int(rest))
    return ModelSpec(name, stage=check_stage(rest))


def check_model_name(name: str) -> str:
    """Return a name that a model may have.

    Raises:
        BadModelNameError: otherwise.
    """
    parts = name.split("/")
    if not name or "@" in name or {_VERSIONS, _STAGES} & set(parts[1:]):
        raise BadModelNameError(f"{name!r} is not a valid name for a model", hint="dsvc model add churn model.pkl")
    try:
        check_name(version_ref(name, 1))
    except BadRefNameError as error:
        hint = "letters, digits, '-', '_', '.' and '/' are always allowed"
        raise BadModelNameError(f"{name!r} is not a valid name for a model", hint=hint) from error
    return name


def check_stage(stage: str) -> str:
    """Return a name that a stage may have; a number would be taken for a version.

    Raises:
        BadModelNameError: otherwise.
    """
    hint = "a stage is a word, such as prod or staging"
    if not stage or "/" in stage or "@" in stage or stage.isdecimal():
        raise BadModelNameError(f"{stage!r} is not a valid name for a stage", hint=hint)
    try:
        check_name(stage_ref("m", stage))
    except BadRefNameError as error:
        raise BadModelNameError(f"{stage!r} is not a valid name for a stage", hint=hint) from error
    return stage


def version_ref(name: str, version: int) -> str:
    """Return the ref that keeps a version."""
    return f"{MODELS}{name}/{_VERSIONS}/{version}"


def stage_ref(name: str, stage: str) -> str:
    """Return the ref that says which version a stage has."""
    return f"{MODELS}{name}/{_STAGES}/{stage}"


def refs_of(name: str) -> str:
    """Return what the refs of a model begin with."""
    return f"{MODELS}{name}/"
