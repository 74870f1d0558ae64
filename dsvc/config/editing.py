"""Change one key of a configuration file and leave the rest of the file, comments included, as it is."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsvc.atomic import write_file
from dsvc.config.keys import Value, join_key, split_key
from dsvc.config.settings import DamagedConfigError, read_values
from dsvc.errors import AnswerNoError, RequestError

if TYPE_CHECKING:
    from tomlkit import TOMLDocument


class KeyNotSetError(AnswerNoError):
    """A key that should be removed or shown is not set."""


class KeySetError(RequestError):
    """A key that should be new has a value."""


def set_value(path: Path, key: str, *, value: Value) -> None:
    """Write `key = value` into the TOML file `path`; see `set_values`."""
    set_values(path, {key: value})


def set_values(path: Path, values: Mapping[str, Value], *, new: str | None = None) -> None:
    """Write every `key = value` into the TOML file `path`, which is made if it is missing, or none of them.

    Raises KeySetError where the key `new` has a value by then.

    The file is replaced by a rename, so that a reader finds the old text or the new one; a symbolic link
    stays and the file it points to is replaced. Of two processes that change one file at once the second
    begins with what the first wrote. Raises DamagedConfigError where the file is not TOML and
    RequestError where a table stands in the place of the value or the other way round.
    """
    with _alone(path):
        document = _document(path)
        if new is not None and path.is_file() and join_key(split_key(new)) in read_values(path):
            raise KeySetError(f"{new} is set in {path}", hint="see 'dsvc config --list --show-origin'")
        for key, value in values.items():
            _place(document, path, key, value)
        _replace(path, document.as_string())


def unset_value(path: Path, key: str) -> None:
    """Remove `key` from the TOML file `path`, and sections that it leaves empty.

    Raises KeyNotSetError where the file has no such value.
    """
    parts = split_key(key)
    if not path.is_file():
        raise _not_set(path, key)
    with _alone(path):
        if not path.is_file() or join_key(parts) not in read_values(path):
            raise _not_set(path, key)
        document = _document(path)
        tables: list[Any] = [document]
        for part in parts[:-1]:
            tables.append(tables[-1][part])
        for table, part in zip(reversed(tables), reversed(parts), strict=True):
            del table[part]
            if len(table):
                break
        _replace(path, document.as_string())


def _not_set(path: Path, key: str) -> KeyNotSetError:
    return KeyNotSetError(f"{key} is not set in {path}", hint="see 'dsvc config --list --show-origin'")


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep other changes of `path` out, through a lock on its folder, which is made if it is missing.

    The folder is locked and not the file, because the file is replaced; and no file of its own is, because
    that would stay. The system gives the lock back when its owner dies. Where it has no such locks (some
    network file systems) the change is made without one.
    """
    import fcntl

    folder = Path(os.path.realpath(path)).parent
    folder.mkdir(parents=True, exist_ok=True)
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _place(document: TOMLDocument, path: Path, key: str, value: Value) -> None:
    parts = split_key(key)
    if not _is_utf8((key, *(value if isinstance(value, tuple) else (str(value),)))):
        raise RequestError(f"{key} cannot be set to what is not UTF-8", hint="settings are files of text in UTF-8")
    table: Any = document
    for part in parts[:-1]:
        if part not in table:
            table[part] = _new_table()
        table = table[part]
        if not isinstance(table, dict):
            raise RequestError(f"{path}: {part} is a value, so {key} cannot be set")
    if isinstance(table.get(parts[-1]), dict):
        raise RequestError(f"{path}: {key} is a section, so it cannot be set")
    table[parts[-1]] = list(value) if isinstance(value, tuple) else value


def _is_utf8(texts: Sequence[str]) -> bool:
    return not any("\ud800" <= character <= "\udfff" for text in texts for character in text)


def _document(path: Path) -> TOMLDocument:
    import tomlkit

    if not path.is_file():
        return tomlkit.document()
    read_values(path)  # tomllib judges, so that reading and writing refuse the same files
    try:
        return tomlkit.parse(path.read_text(encoding="utf-8"))
    except (ValueError, KeyError) as error:
        raise DamagedConfigError(f"{path} cannot be changed: {error}", hint="use 'dsvc config --edit'") from error


def _new_table() -> Any:
    import tomlkit

    return tomlkit.table()


def _replace(path: Path, text: str) -> None:
    target = Path(os.path.realpath(path))
    mode = target.stat().st_mode & 0o777 if target.exists() else 0o666
    write_file(target, text.encode("utf-8"), mode=mode)
