"""Layered settings: defaults, the user's file, the repository's, the worktree's, the command line."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from dsvc.config.keys import KnownKey, Value, join_key, known_key, known_keys, split_key
from dsvc.config.values import typed
from dsvc.errors import RequestError

Scope = Literal["default", "user", "repo", "worktree", "command"]


class DamagedConfigError(RequestError):
    """A configuration file cannot be read or is not TOML."""


class ConfigFiles(NamedTuple):
    """Where the files lie; None where there is none (no home folder, no repository, one worktree)."""

    user: Path | None = None
    repo: Path | None = None
    worktree: Path | None = None

    def of(self, scope: Scope) -> Path | None:
        """The file that holds `scope`."""
        return {"user": self.user, "repo": self.repo, "worktree": self.worktree}.get(scope)


class Origin(NamedTuple):
    """Which layer a value comes from; `path` is its file."""

    scope: Scope
    path: Path | None = None

    def __str__(self) -> str:
        """How `--show-origin` writes it."""
        return f"file:{self.path}" if self.path is not None else f"{self.scope}:"


class Layer(NamedTuple):
    """The values of one origin by dotted key."""

    origin: Origin
    values: Mapping[str, Value]


class Config(NamedTuple):
    """Settings as one command sees them; later layers win."""

    layers: tuple[Layer, ...] = ()

    def origin(self, key: str) -> Origin | None:
        """Where the value of `key` comes from, or None where it has none."""
        for layer in reversed(self.layers):
            if key in layer.values:
                return layer.origin
        known = known_key(key)
        return None if known is None or known.default is None else Origin("default")

    def get(self, key: str) -> Value | None:
        """The value of `key` in the type of the table, or its default, or None.

        Raises BadValueError where a file or the command line gives a known key a value that does not fit.
        """
        known = known_key(key)
        for layer in reversed(self.layers):
            value = layer.values.get(key)
            if value is not None:
                return value if known is None else typed(known, value, origin=str(layer.origin))
        return None if known is None else known.default

    def get_str(self, key: str) -> str | None:
        """The text of `key`, or None where it is not set and has no default."""
        value = self._as(key, "str")
        return None if value is None else str(value)

    def get_int(self, key: str) -> int:
        """The whole number `key`, which must be known or set."""
        return int(self._needed(key, "int"))

    def get_bool(self, key: str) -> bool:
        """The truth value `key`, which must be known or set."""
        return bool(self._needed(key, "bool"))

    def get_size(self, key: str) -> int:
        """The number of bytes `key`, which must be known or set."""
        return int(self._needed(key, "size"))

    def get_list(self, key: str) -> tuple[str, ...]:
        """The list `key`; empty where it is not set."""
        value = self._as(key, "list")
        return value if isinstance(value, tuple) else ()

    def section(self, name: str) -> dict[str, Value]:
        """The keys below `name.`, without that prefix: `section("alias")["st"]`."""
        found: dict[str, Value] = {}
        for layer in self.layers:
            for key, value in layer.values.items():
                if key.startswith(name + "."):
                    found[key[len(name) + 1 :]] = value
        return found

    def items(self) -> Iterator[tuple[str, Value, Origin]]:
        """Every value that is set, layer by layer, keys sorted; a later one of the same key wins."""
        for layer in self.layers:
            for key in sorted(layer.values):
                yield key, layer.values[key], layer.origin

    def _as(self, key: str, kind: Literal["str", "int", "bool", "size", "list"]) -> Value | None:
        value = self.get(key)
        if value is None or known_key(key) is not None:
            return value
        return typed(KnownKey(key, kind, ""), value, origin=str(self.origin(key)))

    def _needed(self, key: str, kind: Literal["int", "bool", "size"]) -> int | bool:
        value = self._as(key, kind)
        if not isinstance(value, int):
            raise KeyError(key)
        return value


def load_config(files: ConfigFiles, overrides: Sequence[str] = ()) -> Config:
    """Read the files that exist, and lay `overrides` (`key=value`, or `key` for true) over them.

    Raises DamagedConfigError with file, line and column, and BadKeyError for an override that has no key.
    """
    layers = [
        Layer(Origin(scope, path), read_values(path))
        for scope, path in _in_order(files)
        if path is not None and path.is_file()
    ]
    if overrides:
        layers.append(Layer(Origin("command"), dict(map(_override, overrides))))
    return Config(tuple(layers))


def read_values(path: Path) -> dict[str, Value]:
    """The values of the TOML file `path` by dotted key, in the order of the file."""
    import tomllib

    try:
        data = path.read_bytes()
        tables = tomllib.loads(data.decode("utf-8"))
    except OSError as error:
        raise DamagedConfigError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        raise _damaged(path, f"not UTF-8 (at line {line}, column {column})") from error
    except tomllib.TOMLDecodeError as error:
        raise _damaged(path, str(error)) from error
    return dict(_flat(tables, (), path))


def user_file(environment: Mapping[str, str]) -> Path | None:
    """`$XDG_CONFIG_HOME/dsvc/config.toml`, else `~/.config/dsvc/config.toml`, else None."""
    base = environment.get("XDG_CONFIG_HOME", "")
    if os.path.isabs(base):
        return Path(base) / "dsvc" / "config.toml"
    home = environment.get("HOME", "")
    return Path(home) / ".config" / "dsvc" / "config.toml" if home else None


def defaults() -> dict[str, Value]:
    """The known keys that have a default, with it."""
    return {key.name: key.default for key in known_keys() if key.default is not None}


def _in_order(files: ConfigFiles) -> tuple[tuple[Scope, Path | None], ...]:
    return (("user", files.user), ("repo", files.repo), ("worktree", files.worktree))


def _override(text: str) -> tuple[str, Value]:
    key, equals, value = text.partition("=")
    return join_key(split_key(key)), value if equals else True


def _flat(table: Mapping[str, Any], above: tuple[str, ...], path: Path) -> Iterator[tuple[str, Value]]:
    for name, value in table.items():
        parts = (*above, name)
        if isinstance(value, dict):
            yield from _flat(value, parts, path)
        elif isinstance(value, list):
            if not all(isinstance(item, str | int | float) for item in value):
                raise DamagedConfigError(f"{path}: {join_key(parts)} must be a list of plain values")
            yield join_key(parts), tuple(str(item) for item in value)
        elif isinstance(value, str | int | float):
            yield join_key(parts), value
        else:  # TOML's dates and times, which no setting uses
            yield join_key(parts), str(value)


def _damaged(path: Path, reason: str) -> DamagedConfigError:
    return DamagedConfigError(
        f"{path} is not valid TOML: {reason}",
        hint="mend it with 'dsvc config --edit'",
        details={"path": str(path)},
    )
