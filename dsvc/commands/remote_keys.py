"""The `dsvc remote keys` command, and the options of encrypted remotes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dsvc.commands.context import Context
from dsvc.commands.options import Json, Quiet
from dsvc.errors import UsageError

if TYPE_CHECKING:
    from dsvc.config.keys import Value

Encrypt = Annotated[bool, typer.Option("--encrypt", help="What is kept there is encrypted, by a passphrase.")]
KeyFilePath = Annotated[
    Path | None, typer.Option("--key-file", metavar="FILE", help="It is encrypted, and this key file opens it.")
]


def sealed_options(context: Context, *, encrypt: bool, file: Path | None) -> dict[str, Value]:
    """The keys of a remote's section that --encrypt and --key-file stand for."""
    options: dict[str, Value] = {"encrypt": True} if encrypt or file is not None else {}
    if file is not None:
        options["keyFile"] = os.fspath(context.directory / file)
    return options


def keys(
    context: Context,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="The remote's name.")] = None,
    *,
    change: Annotated[bool, typer.Option("--change-passphrase", help="Put a new one in the stead of yours.")] = False,
    add: Annotated[bool, typer.Option("--add-passphrase", help="Let another one open it too.")] = False,
    add_file: Annotated[
        Path | None, typer.Option("--add-key-file", metavar="FILE", help="Let a key file open it too.")
    ] = None,
    remove: Annotated[int | None, typer.Option("--remove", metavar="N", help="Take one away; not your own.")] = None,
    label: Annotated[str, typer.Option("--label", metavar="TEXT", help="What the new one is called here.")] = "",
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """List or change the passphrases and key files that open an encrypted remote.

    The passphrase of now is asked for, or stands in DSVC_PASSPHRASE, a new one in DSVC_NEW_PASSPHRASE. What is stored
    is not encrypted again: whoever had access and kept a copy can still read what there was.
    """
    from dsvc.actions import remote_keys
    from dsvc.actions.remote_access import choose_remote

    if sum((change, add, add_file is not None, remove is not None)) > 1:
        raise UsageError("--change-passphrase, --add-passphrase, --add-key-file and --remove exclude each other")
    workspace = context.workspace()
    settings = choose_remote(workspace, name)
    if change:
        remote_keys.change_passphrase(workspace, settings)
        context.out.note(f"The passphrase of {settings.shown} was changed")
    elif add:
        remote_keys.add_passphrase(workspace, settings, label=label)
        context.out.note(f"Another passphrase opens {settings.shown} too")
    elif add_file is not None:
        _, made = remote_keys.add_key_file(workspace, settings, context.directory / add_file, label=label)
        context.out.note(f"{add_file}{', which was written now,' if made else ''} opens {settings.shown} too")
    elif remove is not None:
        remote_keys.remove_key(workspace, settings, remove)
        context.out.note(f"Took number {remove} away from {settings.shown}")
    slots = remote_keys.remote_keys(workspace, settings)
    if json:
        kinds = {"scrypt": "passphrase"}
        rows = [
            {"number": slot.number, "kind": kinds.get(slot.kind, slot.kind), "label": slot.label or None}
            for slot in slots
        ]
        context.out.json("dsvc.remote.keys", {"remote": settings.name, "keys": rows})
    elif not (change or add or add_file or remove is not None):
        for slot in slots:
            kind = "passphrase" if slot.kind == "scrypt" else "key file"
            context.out.line(f"{slot.number}  {kind}  {slot.label}".rstrip())
