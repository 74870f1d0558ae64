"""Imported by each Python interpreter that a run starts, because this folder stands first in PYTHONPATH.

It begins to observe, takes this folder out of `sys.path`, and then lets the user's own `sitecustomize` run, if there is
one, as if this one had never been there.
"""

import os
import sys


def _begin() -> None:
    here = os.path.dirname(os.path.abspath(__file__))
    folder = os.environ.get("DSVC_RUN")
    try:
        if folder and os.path.isdir(folder):
            from dsvc_observer import observe  # type: ignore[import-not-found]

            observe(folder, os.environ.get("DSVC_RUN_ROOTS", "").split(os.pathsep))
    except Exception:  # noqa: BLE001, S110 - whatever it is, the program of the user comes first
        pass
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or os.curdir) != here]
    sys.path_importer_cache.pop(here, None)


def _chain() -> None:
    this = sys.modules.pop(__name__)
    try:
        __import__("sitecustomize")
    except ModuleNotFoundError as error:
        if error.name != "sitecustomize":
            raise
    finally:
        sys.modules.setdefault(__name__, this)


_begin()
if __name__ == "sitecustomize":
    _chain()
