"""The `dsvc version` command."""

from __future__ import annotations

import platform

from dsvc.commands.context import Context
from dsvc.commands.options import Json
from dsvc.version import __version__


def command(context: Context, json: Json = False) -> None:
    """Show the version of dsvc and of the Python that runs it."""
    if json:
        context.out.json("dsvc.version", {"dsvc": __version__, "python": platform.python_version()})
    else:
        context.out.line(f"dsvc {__version__}")
        context.out.line(f"python {platform.python_version()}")
