"""Hold what a model says that it needs against what its image will have."""

from __future__ import annotations

from collections.abc import Iterable

from dsvc.actions.model import FoundVersion
from dsvc.actions.model_get import model_files
from dsvc.environments import Distribution
from dsvc.environments.installed import normalized
from dsvc.errors import RequestError
from dsvc.serving.requirements import REQUIREMENTS, missing_requirements, told
from dsvc.workspace import Workspace


class UnmetRequirementsError(RequestError):
    """A model that asks for packages that its environment has not: its servers would not start."""


def check_requirements(workspace: Workspace, found: FoundVersion, have: Iterable[Distribution]) -> None:
    """Refuse a model whose `runtime-requirements.txt` asks for other packages than `have`.

    Raises:
        UnmetRequirementsError: then.
    """
    entry = dict(model_files(workspace, found)).get(REQUIREMENTS.encode())
    if entry is None:
        return
    text = b"".join(workspace.repo.store.file_chunks(entry.id)).decode("utf-8", "replace")
    versions = {one.name: one.version for one in have}
    missing = missing_requirements(text, lambda name: versions.get(normalized(name)))
    if missing:
        shown = f"{found.version.name}@{found.version.version}"
        raise UnmetRequirementsError(
            f"{REQUIREMENTS} of {shown} asks for what its environment has not: {told(missing)}",
            hint="install it before the model is trained, or --environment names one that has it",
        )
