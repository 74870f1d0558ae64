"""Serve a version of a model from here, by the program that images have."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dsvc.actions.model import FoundVersion
from dsvc.actions.model_folder import write_model_folder
from dsvc.errors import RequestError
from dsvc.workspace import Workspace

if TYPE_CHECKING:
    from dsvc.serving.options import Options


class MissingExtraError(RequestError):
    """What serving needs is not installed."""


@dataclass(frozen=True, slots=True)
class ServeResult:
    """What is served; `address` is None where it was only loaded."""

    found: FoundVersion
    framework: str
    outputs: tuple[str, ...]
    trusted: bool
    watched: int
    address: str | None


def serve(
    workspace: Workspace,
    text: str,
    options: Options,
    *,
    check: bool = False,
    ready: Callable[[ServeResult], None],
) -> None:
    """Write a version into a temporary folder and serve it until TERM or INT; `ready` is told when it answers.

    With `check` it is loaded, and `ready` told, and nothing listens.

    Raises:
        UnknownModelError. MissingExtraError. What `dsvc.serving` raises for a model that it cannot load or that nobody
        vouches for. CannotListenError.
    """
    try:
        from dsvc.serving.server import build_application
        from dsvc.serving.server import serve as listen
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"serving needs {error.name}", hint="pip install 'dsvc[serve]'") from error

    with tempfile.TemporaryDirectory(prefix="dsvc-serve-") as place:
        folder = write_model_folder(workspace, text, Path(place) / "model")
        application = build_application(replace(options, model_dir=Path(place) / "model"))
        result = ServeResult(
            folder.found,
            application.predictor.framework,
            tuple(application.predictor.outputs),
            folder.record["trusted"] is not None,
            application.watched,
            None,
        )
        if check:
            ready(result)
        else:
            listen(application, options, ready=lambda address: ready(replace(result, address=address)))
