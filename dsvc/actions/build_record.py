"""Where the model of an image comes from, and how the image says it: labels and annotations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from dsvc.actions.model import FoundVersion
from dsvc.actions.runs import get_run
from dsvc.errors import DsvcError
from dsvc.objects.ids import CommitId, EnvironmentId
from dsvc.runs.names import RunKey
from dsvc.runs.pins import Pin, read_pins
from dsvc.runs.record import Run
from dsvc.version import __version__
from dsvc.workspace import Workspace

_DATASETS = 50  # inputs that a label names


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a model comes from: its run, a commit that holds it, the environment, what the run read.

    None stands for what is not known. `time` is that of the commit, else of the version, in seconds since 1970 UTC.
    """

    run: Run | None
    commit: CommitId | None
    environment: EnvironmentId | None
    inputs: tuple[Pin, ...]
    time: int


def origin_of(workspace: Workspace, found: FoundVersion) -> Origin:
    """Return where a version comes from, as far as it is in this repository."""
    version = found.version
    run: Run | None = None
    inputs: tuple[Pin, ...] = ()
    if version.run is not None:
        with suppress(DsvcError):  # it was removed, or not fetched
            run, _ = get_run(workspace, RunKey(version.run))
            inputs = tuple(_pinned(workspace, run))
    time = version.time // 1_000_000
    if version.commit is not None:
        with suppress(DsvcError):
            time = workspace.repo.commit(version.commit).committer.time // 1_000_000
    environment = version.environment or (run.environment if run is not None else None)
    return Origin(run, version.commit, environment, inputs, time)


def annotations_of(found: FoundVersion, origin: Origin, *, base: str, base_digest: str) -> dict[str, str]:
    """Return the annotations of an image; `org.opencontainers` ones by the image specification."""
    version = found.version
    said = {
        "org.opencontainers.image.title": version.name,
        "org.opencontainers.image.version": str(version.version),
        "org.opencontainers.image.description": version.description,
        "org.opencontainers.image.revision": _hex(origin.commit),
        "org.opencontainers.image.base.name": base,
        "org.opencontainers.image.base.digest": base_digest,
        "io.dsvc.model": f"{version.name}@{version.version}",
        "io.dsvc.model.id": found.version_id.hex(),
        "io.dsvc.model.content": version.entry.id.hex(),
        "io.dsvc.commit": _hex(origin.commit),
        "io.dsvc.run": _hex(version.run),
        "io.dsvc.run.began": _hex(origin.run.base if origin.run is not None else None),
        "io.dsvc.run.id": _hex(version.run_id),
        "io.dsvc.environment": _hex(origin.environment),
        "io.dsvc.datasets": " ".join(
            f"{pin.path.decode('utf-8', 'backslashreplace')}@{pin.id.hex()}"
            for pin in origin.inputs[:_DATASETS]
            if pin.id is not None
        ),
        "io.dsvc.datasets.count": str(len(origin.inputs)),
        "io.dsvc.version": __version__,
    }
    return {key: value for key, value in said.items() if value}


def _pinned(workspace: Workspace, run: Run) -> Iterator[Pin]:
    yield from read_pins(workspace.repo.store, run.inputs)


def _hex(value: bytes | None) -> str:
    return value.hex() if value is not None else ""
