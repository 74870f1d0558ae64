"""Make a version of a model: of files in the working copy, or of what a run wrote."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice

from dsvc.actions.add import add
from dsvc.actions.model import FoundVersion, stages_of, versions_of
from dsvc.actions.run_begin import user_of
from dsvc.actions.run_standing import Standing
from dsvc.actions.runs import find_run, get_run, has_runs, open_runs
from dsvc.environments.encoding import decode_environment
from dsvc.errors import RequestError
from dsvc.models.names import MAX_VERSION, check_model_name, check_stage, stage_ref, version_ref
from dsvc.models.version import ModelVersion, decode_version, encode_version
from dsvc.objects import trees
from dsvc.objects.codec import Value
from dsvc.objects.ids import CommitId, Kind, ObjectId, RunId, TreeId
from dsvc.objects.tree import FILE_KINDS, Entry, EntryKind
from dsvc.refs.names import MODELS
from dsvc.refs.view import Direct, View
from dsvc.runs.names import RunKey, short_key
from dsvc.runs.pins import PinState
from dsvc.runs.record import Run
from dsvc.runs.values import clean_text
from dsvc.workspace import Workspace

_LOOKED_AT = 1000  # of the newest runs, for one that declared the model
_FILES = 1000  # of a folder, by which the run is found that wrote it
# Distributions whose name is another than that of the framework.
_DISTRIBUTIONS = {"sklearn": "scikit-learn", "pytorch": "torch", "tf": "tensorflow", "huggingface": "transformers"}
_ENDINGS = {b".onnx": "onnx", b".safetensors": "safetensors", b".keras": "keras", b".skops": "sklearn"}


class NoModelFilesError(RequestError):
    """There is nothing of which a version could be made."""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What a person says of a version, beside what is known of it; it wins over what a run said."""

    framework: str = ""
    description: str = ""
    metrics: Mapping[str, Value] = field(default_factory=dict)
    metadata: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Made:
    """Files, the run that wrote them and the commit in which they stand, as far as there are any."""

    path: bytes
    entry: Entry
    run: Run | None = None
    run_id: RunId | None = None
    commit: CommitId | None = None


def model_add(
    workspace: Workspace,
    name: str,
    path: bytes | None = None,
    *,
    run: str | None = None,
    facts: ModelFacts | None = None,
    stage: str | None = None,
) -> tuple[FoundVersion, bool]:
    """Make the next version of a model, and let a stage point to it; return it, and whether it was made just now.

    With a `path` it is that file or folder as it stands in the working copy, or as the `run` wrote it. Without one it
    is what the `run`, or the newest run that named such a model, said it is. A version of the same files by the same
    run is not made twice, unless another profile is said of it.

    Raises:
        NoModelFilesError: when there are no such files. UnknownRunError. What `add` raises for a path.
        BadModelNameError: for the name or the stage.
    """
    check_model_name(name)
    if stage is not None:
        check_stage(stage)
    said = facts or ModelFacts()
    made = _of_run(workspace, name, path, run) if run is not None or path is None else _of_copy(workspace, path)
    view = workspace.view()
    found = _same(workspace, view, name, made, said)
    version = found or _version(workspace, name, _next(view, name), made, said)
    version_id = workspace.repo.store.put(Kind.RUN, encode_version(version))
    value = Direct(Kind.RUN, version_id)
    transaction = workspace.repo.transaction()
    if found is None:
        transaction.require(version_ref(name, version.version))
        transaction.set(version_ref(name, version.version), value)
    if stage is not None and stages_of(view, name).get(stage) != version_id:
        transaction.set(stage_ref(name, stage), value)
    if transaction.changes:
        workspace.publish(transaction, workspace.act("model add", f"model add: {name} {version.version}"))
    stages = stages_of(workspace.view(), name)
    return FoundVersion(version, version_id, tuple(sorted(s for s, i in stages.items() if i == version_id))), not found


def _next(view: View, name: str) -> int:
    """Return the next number, also behind those that remotes were seen to have."""
    seen = [int(full.rpartition("/")[2]) for full, _ in view.items("seen/") if _is_version(full, name)]
    number = max([0, *versions_of(view, name), *seen]) + 1
    if number > MAX_VERSION:
        raise NoModelFilesError(f"{name} has no number left for another version")
    return number


def _is_version(full: str, name: str) -> bool:
    head, _, number = full.rpartition("/")
    return head.endswith(f"/{MODELS}{name}/versions") and number.isdecimal()


def _same(workspace: Workspace, view: View, name: str, made: _Made, said: ModelFacts) -> ModelVersion | None:
    """Return the newest version if it has these files of this run, and the profile that is said, if any."""
    versions = versions_of(view, name)
    if not versions:
        return None
    newest = decode_version(workspace.repo.store.get(versions[max(versions)], Kind.RUN))
    key = None if made.run is None else bytes(made.run.key)
    if (newest.entry, newest.path, newest.run) != (made.entry, made.path, key):
        return None
    # Compared as they are stored, where a list that was read and one that was made are the same.
    with_said = replace(newest, metadata={**newest.metadata, **said.metadata})
    return newest if encode_version(with_said) == encode_version(newest) else None


def _version(workspace: Workspace, name: str, number: int, made: _Made, said: ModelFacts) -> ModelVersion:
    time, zone = workspace.time()
    run = made.run
    told = {} if run is None else _declared(run).get(name, {})
    rest = {key: value for key, value in told.items() if key not in ("path", "framework", "framework_version")}
    if run is not None and "profile" in run.metadata:
        rest.setdefault("profile", run.metadata["profile"])
    framework = said.framework or str(told.get("framework") or "") or _by_ending(made.path)
    return ModelVersion(
        name=name,
        version=number,
        path=made.path,
        entry=made.entry,
        user=user_of(workspace),
        time=time,
        zone=zone,
        run=None if run is None else run.key,
        run_id=made.run_id,
        commit=made.commit,
        environment=None if run is None else run.environment,
        framework=framework,
        framework_version=str(told.get("framework_version") or "") or _installed(workspace, run, framework),
        description=clean_text(said.description),
        metrics={**({} if run is None else run.metrics), **said.metrics},
        params={} if run is None else run.params,
        metadata={**rest, **said.metadata},
    )


def _by_ending(path: bytes) -> str:
    return _ENDINGS.get(os.path.splitext(path)[1].lower(), "")


def _installed(workspace: Workspace, run: Run | None, framework: str) -> str:
    """Return the version of a framework in the environment of the run."""
    store = workspace.repo.store
    if run is None or run.environment is None or not framework or not store.has(run.environment, Kind.ENVIRONMENT):
        return ""
    environment = decode_environment(store.get(run.environment, Kind.ENVIRONMENT))
    found = environment.distribution(_DISTRIBUTIONS.get(framework.lower(), framework.lower()))
    return "" if found is None else found.version


def _of_copy(workspace: Workspace, path: bytes) -> _Made:
    """Store what stands in the working copy, and find the run that wrote it."""
    add(workspace, [path])
    entry = trees.lookup(workspace.repo.store, workspace.index().tree, path)
    if entry is None or entry.kind not in (*FILE_KINDS, EntryKind.TREE):
        raise NoModelFilesError(f"{os.fsdecode(path)!r} is neither a file nor a folder with files", hint="dsvc status")
    key = _writer(workspace, path, entry)
    run, run_id = get_run(workspace, key) if key is not None else (None, None)
    return _Made(path, entry, run, run_id, _standing(workspace, path, entry))


def _standing(workspace: Workspace, path: bytes, entry: Entry) -> CommitId | None:
    """Return the commit that is checked out, if the files stand in it."""
    head = workspace.head().commit_id
    if head is None or trees.lookup(workspace.repo.store, workspace.tree_of(head), path) != entry:
        return None
    return head


def _writer(workspace: Workspace, path: bytes, entry: Entry) -> RunKey | None:
    """Return the newest run that wrote all of these files, one that wrote them at this path before others.

    A run that read what stands in HEAD comes before others, and one that was repeated before its repetitions.

    A run that found a file as it would have written it did not change it. So where no run wrote all files of a folder
    it is the one that wrote last in it.
    """
    if not has_runs(workspace):
        return None
    files = dict(islice(_files(workspace, path, entry), _FILES))
    if not files:
        return None
    with open_runs(workspace) as index:
        met = index.meetings(set(files.values()), outputs=True)
        several = {m.key for some in met.values() if len(some) > 1 for m in some}
        repetitions = {key for key in several if index.is_repetition(key)}
        strangers = Standing(workspace.repo.store, index, workspace.head_tree()).strangers(several)
    here: set[RunKey] | None = None
    anywhere: set[RunKey] | None = None
    some: set[RunKey] = set()
    for place, file_id in files.items():
        pinned = [one for one in met.get(file_id, ()) if one.state == PinState.PINNED]
        at_place = {one.key for one in pinned if one.path == place}
        some |= at_place
        here = at_place if here is None else here & at_place
        keys = {one.key for one in pinned}
        anywhere = keys if anywhere is None else anywhere & keys
    candidates = here or anywhere or some
    return max(candidates, key=lambda key: (key not in strangers, key not in repetitions, key), default=None)


def _files(workspace: Workspace, path: bytes, entry: Entry) -> Iterable[tuple[bytes, bytes]]:
    if entry.kind != EntryKind.TREE:
        return [(path, entry.id)]
    below = trees.walk(workspace.repo.store, TreeId(ObjectId(entry.id)), path + b"/")
    return ((place, each.id) for place, each in below if each.kind in FILE_KINDS)


def _of_run(workspace: Workspace, name: str, path: bytes | None, text: str | None) -> _Made:
    """Take what a run wrote, from the store."""
    key = find_run(workspace, text) if text is not None else _declaring(workspace, name)
    run, run_id = get_run(workspace, key)
    wanted = path if path is not None else _declared_path(workspace, run, name)
    tree = run.outputs.tree
    entry = trees.lookup(workspace.repo.store, tree, wanted) if tree is not None else None
    if entry is None or entry.kind not in (*FILE_KINDS, EntryKind.TREE):
        raise NoModelFilesError(
            f"run {short_key(key)} wrote no {os.fsdecode(wanted)}",
            hint=f"dsvc runs show {short_key(key)} lists its outputs",
        )
    return _Made(wanted, entry, run, run_id, _standing(workspace, wanted, entry))


def _declaring(workspace: Workspace, name: str) -> RunKey:
    """Return the newest run that named such a model."""
    with open_runs(workspace) as index:
        newest = sorted(index.keys(), reverse=True)[:_LOOKED_AT]
    for key in newest:
        if name in _declared(get_run(workspace, key)[0]):
            return key
    raise NoModelFilesError(
        f"no run named a model {name}",
        hint=f"dsvc model add {name} PATH takes a file or folder; in Python, run.model({name!r}, path) names one",
    )


def _declared(run: Run) -> Mapping[str, Mapping[str, Value]]:
    models = run.metadata.get("models")
    if not isinstance(models, Mapping):
        return {}
    return {str(name): facts for name, facts in models.items() if isinstance(facts, Mapping)}


def _declared_path(workspace: Workspace, run: Run, name: str) -> bytes:
    value = _declared(run).get(name, {}).get("path")
    if not isinstance(value, str) or not value:
        hint = f"dsvc model add {name} PATH --run {short_key(run.key)}"
        raise NoModelFilesError(f"run {short_key(run.key)} named no model {name}", hint=hint)
    path = os.fsencode(value)
    if os.path.isabs(path):
        return os.path.relpath(path, workspace.root_bytes)
    return os.path.normpath(os.path.join(run.directory, path))
