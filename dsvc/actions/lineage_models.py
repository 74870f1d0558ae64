"""Which versions of models the files of a lineage are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from dsvc.actions.lineage_graph import FileNode, ModelNode
from dsvc.actions.model import read_version, stages_of, versions_of
from dsvc.errors import DsvcError
from dsvc.models.names import parse_ref
from dsvc.models.version import ModelVersion
from dsvc.objects import trees
from dsvc.objects.ids import Kind, ObjectId
from dsvc.objects.tree import EntryKind
from dsvc.refs.names import MODELS
from dsvc.workspace import Workspace

_MOST = 10_000  # files of a model that is a folder


def find_models(workspace: Workspace, files: Sequence[FileNode]) -> Iterator[tuple[FileNode, ModelNode]]:
    """Yield the files that are a version of a model, or lie in a folder that is one, each with that version.

    Of several files with the same content the one at the version's path counts, all of them where none lies there.
    """
    view = workspace.view()
    by_id: dict[ObjectId, list[FileNode]] = {}
    for file in files:
        if file.id is not None:
            by_id.setdefault(file.id, []).append(file)
    names = {ref.name for full, _ in view.items(MODELS) if (ref := parse_ref(full)) is not None} if by_id else set()
    for name in sorted(names):
        stages = stages_of(view, name)
        for number, version_id in sorted(versions_of(view, name).items()):
            version = read_version(workspace, version_id)
            if version is None:
                continue
            staged = tuple(sorted(stage for stage, target in stages.items() if target == version_id))
            node = ModelNode(name, number, version_id, staged)
            for path, object_id in _content(workspace, version):
                same = by_id.get(object_id, [])
                for file in [one for one in same if one.path == path] or same:
                    yield file, node


def _content(workspace: Workspace, version: ModelVersion) -> Iterator[tuple[bytes, ObjectId]]:
    """Yield path and id of what a version is, and of the files in it where it is a folder."""
    object_id = ObjectId(version.entry.id)
    yield version.path, object_id
    if version.entry.kind == EntryKind.TREE and workspace.repo.store.has(object_id, Kind.TREE):
        try:
            for path, entry in islice(trees.walk(workspace.repo.store, object_id, version.path + b"/"), _MOST):
                yield path, ObjectId(entry.id)
        except DsvcError:  # some of it was not fetched
            return
