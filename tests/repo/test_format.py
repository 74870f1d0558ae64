"""The format record says what one must know to read a repository, and to write it."""

import pytest

from dsvc.errors import BusyError, FormatTooNewError, NotARepositoryError
from dsvc.refs.transaction import Act
from dsvc.repo.format import CELL, CURRENT, DamagedFormatError, Format, encode_format, read_format, write_format
from dsvc.repo.repository import Repository
from dsvc.storage.memory import MemoryBackend

ACT = Act("init", "", "ada", "box", "one", time=0, zone=0)


def repository_with(record, tmp_path):
    backend = MemoryBackend()
    Repository.create(backend, lambda: tmp_path, act=ACT, refs={}).close()
    backend.swap_cell(CELL, backend.read_cell(CELL), record if isinstance(record, bytes) else encode_format(record))
    return backend


def test_the_record_comes_back():
    backend = MemoryBackend()
    assert read_format(backend) is None
    record = Format(frozenset({"b", "a"}), frozenset({"c"}))
    write_format(backend, record)
    assert read_format(backend) == record
    with pytest.raises(BusyError):
        write_format(backend, CURRENT)


def test_a_repository_that_needs_more_to_read_is_not_opened(tmp_path):
    backend = repository_with(Format(frozenset({"base-1", "later-9"}), frozenset({"base-1"})), tmp_path)
    with pytest.raises(FormatTooNewError, match="later-9") as caught:
        Repository.open(backend, lambda: tmp_path)
    assert caught.value.exit_code == 16


def test_a_repository_that_needs_more_to_write_is_read_only(tmp_path):
    backend = repository_with(Format(frozenset({"base-1"}), frozenset({"base-1", "later-9"})), tmp_path)
    repository = Repository.open(backend, lambda: tmp_path)
    assert list(repository.view().items()) == []
    with pytest.raises(FormatTooNewError, match="later-9"):
        repository.transaction()


def test_a_record_of_a_later_kind_is_too_new(tmp_path):
    backend = repository_with(b'{"dsvc": 2, "anything": "else"}\n', tmp_path)
    with pytest.raises(FormatTooNewError, match="format 2"):
        Repository.open(backend, lambda: tmp_path)


@pytest.mark.parametrize(
    "value", [b"", b"{", b"[]", b"1", b"null", b"{}", b'{"dsvc": 1}', b'{"dsvc": 1, "read": 1, "write": []}', b"\xff"]
)
def test_a_damaged_record_is_an_error(value, tmp_path):
    with pytest.raises(DamagedFormatError):
        Repository.open(repository_with(value, tmp_path), lambda: tmp_path)


def test_there_is_no_repository_in_an_empty_place_or_an_unfinished_one(tmp_path):
    backend = MemoryBackend()
    with pytest.raises(NotARepositoryError):
        Repository.open(backend, lambda: tmp_path)
    write_format(backend, CURRENT)
    with pytest.raises(NotARepositoryError, match="begun"):
        Repository.open(backend, lambda: tmp_path)
    Repository.create(backend, lambda: tmp_path, act=ACT, refs={})
    assert Repository.open(backend, lambda: tmp_path).operation().verb == "init"
