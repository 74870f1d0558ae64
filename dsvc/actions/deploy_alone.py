"""One command at a time changes a deployment of a repository."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from dsvc.errors import BusyError
from dsvc.workspace import Workspace


class DeployingError(BusyError):
    """A deployment that another process is changing."""


@contextmanager
def alone_with(workspace: Workspace, name: str) -> Iterator[None]:
    """Keep other commands from changing the deployment `name` while the block runs.

    It ends with the process, however that ends. Clones have locks of their own: there the place decides.

    Raises:
        DeployingError: when another process of this repository is at it.
    """
    folder = workspace.common / "deploying"
    folder.mkdir(exist_ok=True)
    with open(folder / name, "ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DeployingError(
                f"another command is changing the deployment {name} right now; nothing was done",
                hint=f"when it is done, dsvc deploy list {name} shows what it did; then run the same command again",
                details={"name": name},
            ) from error
        except OSError:
            pass  # where the disk knows no locks, the ref alone decides
        yield
