"""The repository that the first version wrote is read by every later one, whole."""

import importlib.util
import json
from pathlib import Path

from blake3 import blake3

from dsvc.objects.ids import Kind, object_id
from dsvc.refs.view import Symbolic
from dsvc.repo.repository import Repository
from dsvc.storage.local import LocalBackend

HERE = Path(__file__).parent


def make_v1():
    spec = importlib.util.spec_from_file_location("make_v1", HERE / "make_v1.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_first_versions_repository_is_read(tmp_path):
    repository = Repository.open(LocalBackend(HERE / "v1" / "store"), lambda: tmp_path)
    expected = json.loads((HERE / "v1" / "expected.json").read_text())
    assert make_v1().describe(repository) == expected
    for ref in repository.store.packs.refs():
        for object_id_, place in repository.store.packs.index(ref).objects():
            payload = repository.store.get(object_id_, Kind(place.kind))
            if place.kind == Kind.FILE_MAP:
                assert blake3(repository.store.read_file(object_id_)).digest() == object_id_
            else:
                assert object_id(Kind(place.kind), payload) == object_id_
    repository.close()


def test_this_version_makes_the_same_ids(tmp_path):
    make_v1().make(tmp_path / "again")
    assert json.loads((tmp_path / "again" / "expected.json").read_text()) == json.loads(
        (HERE / "v1" / "expected.json").read_text()
    )


def test_the_repository_has_one_of_each_form():
    """Nothing is left out of what must stay readable."""
    repository = Repository.open(LocalBackend(HERE / "v1" / "store"), lambda: None)
    kinds, encodings = set(), set()
    for ref in repository.store.packs.refs():
        index = repository.store.packs.index(ref)
        kinds |= {Kind(place.kind) for _, place in index.objects()}
        encodings |= {index.frame(n).encoding for n in range(index.frames)}
    assert kinds >= {Kind.CHUNK, Kind.FILE_MAP, Kind.TREE, Kind.COMMIT, Kind.TAG, Kind.VIEW, Kind.OPERATION}
    assert len(encodings) >= 3
    assert isinstance(repository.view().get("worktrees/one/HEAD"), Symbolic)
    repository.close()
