"""Containers that take the place of others: all of them, or none."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from dsvc.deployments.place import BroughtAtOnceError

ASIDE = "-before"  # how the name of a container ends that waits for the one in its place
_GRACE = 30  # seconds that a container has to end
_SETTLED = _GRACE + 5  # seconds without a change after which whoever exchanged containers must have been killed
_SAME_NAME = 400  # of a renaming: the container has that name already
_GONE = 404  # what was made a moment ago was removed: by another process
_CONFLICT = 409  # the name is taken, or the container is being removed: by another process


@dataclass(slots=True)
class Exchange:
    """The containers of one deployment that were started, and those that stopped for them.

    The new name of an old container is the claim on its place, for an engine lets one process alone have a name.
    """

    client: Any
    name: str
    _started: dict[str, Any] = field(default_factory=dict)
    _aside: list[Any] = field(default_factory=list)
    _back: list[Callable[[], None]] = field(default_factory=list)

    def put(self, name: str, old: Any | None, image: str, settings: dict[str, Any]) -> Any:
        """Start a container under a name, in the place of the one that has it, and return it."""
        from docker.errors import APIError, NotFound

        if old is not None:
            with suppress(NotFound):  # it went by itself
                old.reload()
                if old.name != name:
                    raise BroughtAtOnceError(self.name)
                runs = old.status in ("running", "restarting")
                try:
                    _rename(old, name + ASIDE)
                except APIError as error:
                    if error.status_code == _SAME_NAME:  # another process did it since
                        raise BroughtAtOnceError(self.name) from error
                    raise
                self._aside.append(old)
                self._back.append(lambda: _bring_back(old, name, start=runs))
                old.stop(timeout=_GRACE)
        made = self.client.containers.create(image, name=name, **settings)
        self._back.append(lambda: end(made))
        made.start()
        self._started[name] = made
        return made

    def check(self) -> None:
        """Raise BroughtAtOnceError where another process took one of the names since."""
        from docker.errors import NotFound

        for name, made in self._started.items():
            try:
                same = self.client.containers.get(name).id == made.id
            except NotFound:
                same = False
            if not same:
                raise BroughtAtOnceError(self.name)

    def finish(self) -> None:
        """Remove the old ones."""
        for old in self._aside:
            end(old)

    def take_back(self) -> None:
        """Remove what was started, and start what stopped for it, as far as the engine allows it."""
        from docker.errors import DockerException
        from requests.exceptions import RequestException

        for step in reversed(self._back):
            with suppress(DockerException, RequestException):
                step()


@contextmanager
def exchange(client: Any, name: str) -> Iterator[Exchange]:
    """Exchange containers of the deployment `name` in the block; what raises in it takes back what was done.

    Raises:
        BroughtAtOnceError: when another process does the same on this engine.
    """
    from docker.errors import APIError

    one = Exchange(client, name)
    try:
        yield one
        one.check()
    except BaseException as error:
        one.take_back()
        if isinstance(error, APIError) and error.status_code in (_GONE, _CONFLICT):
            raise BroughtAtOnceError(name) from error
        raise
    one.finish()


def found_at_rest(look: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return the containers that `look` finds, by name, once no other process exchanges any of them.

    What a command that was killed left aside is removed, after a while in which nothing changed: until then its old
    container could still be put back by whoever moved it there.
    """
    seen: dict[str, tuple[str, str]] = {}
    since = time.monotonic()
    while True:
        found = look()
        aside = [name for name in found if name.endswith(ASIDE)]
        now = {name: (each.id, each.status) for name, each in found.items()}
        if not aside:
            return found
        if now != seen:
            seen, since = now, time.monotonic()
        elif time.monotonic() - since > _SETTLED:
            for name in aside:
                end(found.pop(name))
            return found
        time.sleep(0.5)


def _rename(container: Any, name: str) -> None:
    """Rename a container; raises NotFound when it went by itself.

    The engine looks for the network of one that counts as running, and one that waits to be started again has none.
    That is answered like a container that is gone, so it is stopped before.
    """
    from docker.errors import NotFound

    try:
        container.rename(name)
    except NotFound:
        container.reload()
        container.stop(timeout=_GRACE)
        container.rename(name)


def end(container: Any) -> None:
    """Stop a container and remove it, if it is still there and no other process removes it already."""
    from docker.errors import APIError

    try:
        container.stop(timeout=_GRACE)
        container.remove(force=True)
    except APIError as error:
        if error.status_code not in (_GONE, _CONFLICT):
            raise


def _bring_back(old: Any, name: str, *, start: bool) -> None:
    from docker.errors import APIError

    try:
        old.rename(name)
    except APIError as error:
        if error.status_code == _CONFLICT:  # the place is another's by now
            end(old)
        return
    if start:
        old.start()
