"""The `dsvc config` command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from dsvc.commands.context import Context
from dsvc.commands.options import Json
from dsvc.config.editing import KeyNotSetError, set_value, unset_value
from dsvc.config.keys import default_text, join_key, known_key, known_keys, similar_key, split_key
from dsvc.config.settings import Config, ConfigFiles, Layer, Origin, read_values
from dsvc.config.values import as_text, stored
from dsvc.errors import DsvcError, NotARepositoryError, RequestError, UsageError

FileScope = Literal["user", "repo", "worktree"]


def command(
    context: Context,
    key: Annotated[str | None, typer.Argument(metavar="[KEY]", help="Such as user.name.")] = None,
    value: Annotated[str | None, typer.Argument(metavar="[VALUE]", help="What to set it to.")] = None,
    *,
    list_all: Annotated[bool, typer.Option("-l", "--list", help="Show everything that is set.")] = False,
    keys: Annotated[bool, typer.Option("--keys", help="List the keys that dsvc reads, with their defaults.")] = False,
    show_origin: Annotated[bool, typer.Option("--show-origin", help="Say which file each value comes from.")] = False,
    get: Annotated[bool, typer.Option("--get", help="Accepted: a KEY alone is shown anyway.")] = False,
    unset: Annotated[bool, typer.Option("--unset", help="Remove KEY.")] = False,
    edit: Annotated[bool, typer.Option("-e", "--edit", help="Open the file in an editor.")] = False,
    user: Annotated[bool, typer.Option("--user", "--global", help="Use the file of the user.")] = False,
    repo: Annotated[bool, typer.Option("--repo", "--local", help="Use the file of the repository.")] = False,
    worktree: Annotated[bool, typer.Option("--worktree", help="Use the file of this working copy.")] = False,
    json: Json = False,
) -> None:
    """Read and change settings.

    Settings come from the defaults, the file of the user, that of the repository, that of this working
    copy and -c on the command line; later ones win. A change goes to the file of the repository unless an
    option says otherwise. A key that is not set makes the exit code 1. A key alias.NAME makes NAME a command.
    """
    scope = _scope(user=user, repo=repo, worktree=worktree)
    if sum((list_all, keys, get, unset, edit)) > 1:
        raise UsageError("--list, --keys, --get, --unset and --edit exclude each other")
    if (edit or list_all or keys) and key is not None:
        raise UsageError(f"--{'edit' if edit else 'keys' if keys else 'list'} takes no key")
    if (unset or get) and value is not None:
        raise UsageError(f"--{'unset' if unset else 'get'} takes a key and no value")
    if edit:
        _edit(context, _file(context.config_files(), scope or "repo"))
    elif keys:
        _keys(context, json=json)
    elif list_all:
        _list(context, _chosen(context, scope), show_origin=show_origin, json=json)
    elif key is None:
        raise UsageError("a key is missing", hint="'dsvc config --list' shows what is set, --keys what can be")
    elif unset:
        file = _file(context.config_files(), scope or "repo")
        unset_value(file, key)
        if json:
            _changed(context, "unset", key, file)
    elif value is not None:
        file = _file(context.config_files(), scope or "repo")
        _set(context, key, value, file)
        if json:
            _changed(context, "set", key, file)
    else:
        _show(context, _chosen(context, scope), key, show_origin=show_origin, json=json)


def _changed(context: Context, action: str, key: str, file: Path) -> None:
    context.out.json("dsvc.config.changed", {"action": action, "key": join_key(split_key(key)), "file": str(file)})


def _scope(*, user: bool, repo: bool, worktree: bool) -> FileScope | None:
    chosen: list[FileScope] = []
    if user:
        chosen.append("user")
    if repo:
        chosen.append("repo")
    if worktree:
        chosen.append("worktree")
    if len(chosen) > 1:
        raise UsageError("--user, --repo and --worktree exclude each other")
    return chosen[0] if chosen else None


def _file(files: ConfigFiles, scope: FileScope) -> Path:
    path = files.of(scope)
    if path is not None:
        return path
    if scope == "user":
        raise RequestError("there is no home folder to keep settings in", hint="set HOME or XDG_CONFIG_HOME")
    raise NotARepositoryError(
        "not in a dsvc repository, so there is no file of the repository",
        hint="'--user' sets it for all repositories; 'dsvc init' makes one here",
    )


def _chosen(context: Context, scope: FileScope | None) -> Config:
    if scope is None:
        return context.config()
    path = _file(context.config_files(), scope)
    return Config((Layer(Origin(scope, path), read_values(path)),) if path.is_file() else ())


def _show(context: Context, config: Config, key: str, *, show_origin: bool, json: bool) -> None:
    key = join_key(split_key(key))
    value = config.get(key)
    origin = config.origin(key)
    if value is None or origin is None:
        raise KeyNotSetError(f"{key} is not set", hint=_meant(key) or "'dsvc config --list' shows what is set")
    if json:
        payload = {"key": key, "value": list(value) if isinstance(value, tuple) else value, **_origin(origin)}
        context.out.json("dsvc.config.value", payload)
    else:
        context.out.line(f"{origin}\t{as_text(value)}" if show_origin else as_text(value))


def _list(context: Context, config: Config, *, show_origin: bool, json: bool) -> None:
    if json:
        entries = [
            {"key": key, "value": list(value) if isinstance(value, tuple) else value, **_origin(origin)}
            for key, value, origin in config.items()
        ]
        context.out.json("dsvc.config", {"entries": entries})
        return
    for key, value, origin in config.items():
        context.out.line(f"{origin}\t{key}={as_text(value)}" if show_origin else f"{key}={as_text(value)}")


def _keys(context: Context, *, json: bool) -> None:
    if json:
        rows = [
            {"key": k.name, "kind": k.kind, "default": k.default, "choices": list(k.choices), "help": k.help}
            for k in known_keys()
        ]
        context.out.json("dsvc.config.keys", {"keys": rows})
        return
    with context.paged():
        words = {k.name: f" One of {', '.join(k.choices)}." if k.choices else "" for k in known_keys()}
        context.out.table([[k.name, default_text(k), k.help + words[k.name]] for k in known_keys()])


def _set(context: Context, key: str, value: str, path: Path) -> None:
    key = join_key(split_key(key))
    set_value(path, key, value=stored(known_key(key), value))
    meant = similar_key(key)
    if meant is not None:
        context.out.warn(f"dsvc does not know the key {key}", hint=f"did you mean {meant}?")
    elif (key, value) == ("store.link", "hardlink") and not _keeps_wholes(context):
        context.out.warn(
            "this repository was made without whole files, so the setting counts for forks alone",
            hint="'dsvc init --whole-files' lets a large file be one for both; older versions refuse it then",
        )


def _keeps_wholes(context: Context) -> bool:
    """Whether the repository here may keep large files whole; True where there is none, or none that can be read."""
    try:
        return context.workspace().repo.keeps_parts
    except DsvcError:  # settings can be changed in any state
        return True


def _edit(context: Context, path: Path) -> None:
    from dsvc.commands.editor import edit_file

    editor = context.editor()
    path.parent.mkdir(parents=True, exist_ok=True)
    context.out.flush()
    edit_file(path, editor, environment=context.environment)
    if path.is_file():
        read_values(path)  # a slip is better told now than by the next command


def _meant(key: str) -> str | None:
    meant = similar_key(key)
    return None if meant is None else f"did you mean {meant}?"


def _origin(origin: Origin) -> dict[str, str | None]:
    return {"scope": origin.scope, "file": None if origin.path is None else str(origin.path)}
