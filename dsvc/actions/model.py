"""Look at models, say which version a stage has, remove them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dsvc.errors import IntegrityError, RequestError
from dsvc.models.names import ModelSpec, check_stage, parse_ref, parse_spec, refs_of, stage_ref, version_ref
from dsvc.models.version import ModelVersion, decode_version
from dsvc.objects.ids import Kind, ObjectId
from dsvc.refs.names import MODELS
from dsvc.refs.view import Direct, View
from dsvc.workspace import Workspace


class UnknownModelError(RequestError):
    """A text that names no model, or no version or stage of one."""


class StageTakenError(RequestError):
    """A name that a version has already, and that is not to move."""


@dataclass(frozen=True, slots=True)
class FoundVersion:
    """A version, the id of its object, and the stages that point to it."""

    version: ModelVersion
    version_id: ObjectId
    stages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StageMove:
    """A stage, the version that it had (None: it was not there) and the one that it has now (None: it is gone)."""

    name: str
    stage: str
    before: int | None
    after: int | None


def list_models(workspace: Workspace, name: str | None = None) -> list[FoundVersion]:
    """Return the newest version of every model in order of names, and every other that a stage points to.

    With a `name` all versions of that model, the newest first.

    Raises:
        UnknownModelError: when there is no model of that name. BadModelNameError.
    """
    view = workspace.view()
    if name is not None:
        wanted = parse_spec(name).name
        return _found(workspace, view, wanted, sorted(versions_of(view, wanted), reverse=True))
    names = sorted({ref.name for full, _ in view.items(MODELS) if (ref := parse_ref(full)) is not None})
    found: list[FoundVersion] = []
    for each in names:
        versions = versions_of(view, each)
        staged = {bytes(target) for target in stages_of(view, each).values()}
        shown = [n for n, target in versions.items() if bytes(target) in staged or n == max(versions)]
        found += _found(workspace, view, each, sorted(shown, reverse=True))
    return found


def find_model(workspace: Workspace, text: str) -> FoundVersion:
    """Return the version that `NAME`, `NAME@3` or `NAME@prod` stands for; without more the newest.

    Raises:
        UnknownModelError: when there is none. BadModelNameError.
    """
    spec, view = parse_spec(text), workspace.view()
    versions = versions_of(view, spec.name)
    if not versions:
        raise UnknownModelError(f"there is no model {spec.name}", hint="dsvc model list shows them")
    if not spec.stage:
        number = max(versions) if spec.version is None else spec.version
        if number not in versions:
            raise UnknownModelError(
                f"{spec.name} has no version {number}", hint=f"dsvc model list {spec.name} shows them"
            )
        return _found(workspace, view, spec.name, [number])[0]
    stages = stages_of(view, spec.name)
    target = stages.get(spec.stage)
    if target is None:
        there = ", ".join(sorted(stages)) or "none"
        raise UnknownModelError(
            f"{spec.name} has no stage {spec.stage}; there is: {there}",
            hint=f"dsvc model promote {spec.name} {spec.stage}",
        )
    return FoundVersion(_read(workspace, target), target, _names_of(stages, target))


def promote(workspace: Workspace, text: str, stage: str, *, keep: bool = False) -> StageMove:
    """Let a stage point to a version; `keep` refuses to take it from another one.

    Raises:
        UnknownModelError. BadModelNameError. StageTakenError: with `keep`, when another version has it.
    """
    check_stage(stage)
    found = find_model(workspace, text)
    version = found.version
    before = stages_of(workspace.view(), version.name).get(stage)
    if before == found.version_id:
        return StageMove(version.name, stage, version.version, version.version)
    old = None if before is None else _read(workspace, before).version
    if keep and old is not None:
        raise StageTakenError(
            f"{version.name}@{stage} is version {old}",
            hint=f"dsvc model promote {version.name}@{version.version} {stage} moves it",
        )
    transaction = workspace.repo.transaction()
    transaction.set(stage_ref(version.name, stage), Direct(Kind.RUN, found.version_id))
    what = f"model promote: {version.name}@{stage} is version {version.version}"
    workspace.publish(transaction, workspace.act("model promote", what))
    return StageMove(version.name, stage, old, version.version)


def remove_models(workspace: Workspace, texts: Sequence[str]) -> list[str]:
    """Remove stages (`NAME@STAGE`), versions (`NAME@3`, with the stages that point to it) or whole models (`NAME`).

    Return the full names of the refs that went. What only they keep goes with the next gc; undo brings them back.

    Raises:
        UnknownModelError: when one is not there; nothing is removed then. BadModelNameError.
    """
    view = workspace.view()
    gone: dict[str, None] = {}
    for text in texts:
        spec = parse_spec(text)
        found = find_model(workspace, text)
        if spec.stage:
            gone[stage_ref(spec.name, spec.stage)] = None
        elif spec.version is not None:
            gone[version_ref(spec.name, spec.version)] = None
            gone.update(dict.fromkeys(stage_ref(spec.name, stage) for stage in found.stages))
        else:
            gone.update(dict.fromkeys(name for name, _ in view.items(refs_of(spec.name)) if _is_of(name, spec)))
    transaction = workspace.repo.transaction()
    for name in gone:
        transaction.delete(name)
    named = ", ".join(texts[:5]) + (" …" if len(texts) > 5 else "")
    workspace.publish(transaction, workspace.act("model rm", f"model rm: {named}"))
    return list(gone)


def versions_of(view: View, name: str) -> dict[int, ObjectId]:
    """Return the versions of a model by number."""
    found: dict[int, ObjectId] = {}
    for full, ref in view.items(refs_of(name)):
        parsed = parse_ref(full)
        if parsed is not None and parsed.name == name and parsed.version is not None and isinstance(ref, Direct):
            found[parsed.version] = ref.id
    return found


def stages_of(view: View, name: str) -> dict[str, ObjectId]:
    """Return the stages of a model and what each points to."""
    found: dict[str, ObjectId] = {}
    for full, ref in view.items(refs_of(name)):
        parsed = parse_ref(full)
        if parsed is not None and parsed.name == name and parsed.stage and isinstance(ref, Direct):
            found[parsed.stage] = ref.id
    return found


def read_version(workspace: Workspace, version_id: ObjectId) -> ModelVersion | None:
    """Return the version that an object of the kind of runs is, None where it is another."""
    try:
        return decode_version(workspace.repo.store.get(version_id, Kind.RUN))
    except IntegrityError:
        return None


def describe_version(workspace: Workspace, version_id: ObjectId) -> FoundVersion | None:
    """Return the version that an object of the kind of runs is, with the stages it has now; None for another object."""
    version = read_version(workspace, version_id)
    if version is None:
        return None
    return FoundVersion(version, version_id, _names_of(stages_of(workspace.view(), version.name), version_id))


def _is_of(full: str, spec: ModelSpec) -> bool:
    parsed = parse_ref(full)
    return parsed is not None and parsed.name == spec.name


def _found(workspace: Workspace, view: View, name: str, numbers: Sequence[int]) -> list[FoundVersion]:
    versions, stages = versions_of(view, name), stages_of(view, name)
    if not versions:
        raise UnknownModelError(f"there is no model {name}", hint="dsvc model list shows them")
    return [
        FoundVersion(_read(workspace, versions[number]), versions[number], _names_of(stages, versions[number]))
        for number in numbers
    ]


def _names_of(stages: Mapping[str, ObjectId], target: ObjectId) -> tuple[str, ...]:
    return tuple(sorted(stage for stage, other in stages.items() if other == target))


def _read(workspace: Workspace, version_id: ObjectId) -> ModelVersion:
    return decode_version(workspace.repo.store.get(version_id, Kind.RUN))
