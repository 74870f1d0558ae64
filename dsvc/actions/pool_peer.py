"""A remote's own pool: an SSH host with ZFS, where snapshots are received as such and not stored as streams.

`remote.NAME.zfs` names the dataset there below which they lie.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field

from dsvc.errors import UsageError
from dsvc.history.datasets import Lineage
from dsvc.remotes.address import SshAddress, parse_address
from dsvc.remotes.settings import RemoteSettings
from dsvc.storage.snapshots import Kept
from dsvc.workspace import Workspace
from dsvc.worktree.delegation import Delegation
from dsvc.zfs.direct import transfer
from dsvc.zfs.errors import DatasetMissingError
from dsvc.zfs.program import Program
from dsvc.zfs.provider import ZfsProvider

OPTION = "zfs"
_MARK = "peer"  # on datasets that were made there: they are of no working copy
_TAG = "dsvc:peer"


@dataclass(slots=True)
class PoolPeer:
    """The snapshots below the dataset `parent` at another machine, through `far`."""

    workspace: Workspace
    datasets: Delegation
    near: ZfsProvider
    far: ZfsProvider
    parent: str
    _known: dict[str, Kept] = field(default_factory=dict)

    def find(self, guids: Iterable[str]) -> dict[str, Kept]:
        """Return those of the snapshots that are there, asked of it once for each that was not seen yet."""
        wanted = set(guids)
        if wanted - self._known.keys():
            if not self._known and self.far.dataset(self.parent) is None:
                raise DatasetMissingError(
                    f"there is no dataset {self.parent} at {self.far.program.host}",
                    hint=f"make it there ('zfs create -p {self.parent}'), or name another: dsvc config remote.NAME.zfs",
                )
            self._known.update(self.far.find(wanted, [self.parent]))
        return {guid: self._known[guid] for guid in wanted & self._known.keys()}

    def push(self, kept: Kept, lineage: Iterable[str], here: dict[str, Kept]) -> int:
        """Send a snapshot there, from the nearest one that both have; return the bytes that were sent.

        Raises:
            HostUnreachableError: when the connection breaks; what arrived is kept, and the next push goes on.
        """
        there = self.find(lineage)
        base = next(((here[guid], there[guid]) for guid in lineage if guid in there and guid in here), None)
        if base is not None and not self.datasets.descends(kept.dataset, base[0]):
            base = None
        name = f"{self.parent}/dsvc-{int(kept.guid):016x}"
        sent = self._count(f"Sending {os.path.basename(kept.name)}")
        try:
            arrived = transfer(self.near, self.far, kept, base, name, mark=_MARK, advance=sent.add)
        finally:
            self.workspace.progress.finish()
        self.far.hold([arrived.name], _TAG)
        self._known[kept.guid] = arrived
        return sent.size

    def get(self, path: bytes, guid: str, name: str) -> list[tuple[str, int]]:
        """Receive a snapshot and those between it and one that is here; return them with the bytes of each.

        `name` begins the names of new datasets. Raises as `push` does.
        """
        lineage = [guid, *Lineage(self.workspace.repo.store).back(guid)]
        there = self.find(lineage)
        chain: list[str] = []
        for candidate in lineage:
            if self.datasets.find(path, candidate) is not None:
                break
            if candidate in there:
                chain.append(candidate)
        came: list[tuple[str, int]] = []
        for candidate in reversed(chain):
            after = lineage[lineage.index(candidate) + 1 :]
            both = ((there[g], self.datasets.find(path, g)) for g in after if g in there)
            base = next(((far, near) for far, near in both if near is not None), None)
            got = self._count(f"Receiving {os.fsdecode(path)}")
            try:
                kept = transfer(
                    self.far,
                    self.near,
                    there[candidate],
                    base,
                    f"{name}-{int(candidate):016x}",
                    mark=self.datasets.mark,
                    advance=got.add,
                )
            finally:
                self.workspace.progress.finish()
            self.datasets.adopt(path, kept)
            came.append((candidate, got.size))
        return came

    def _count(self, title: str) -> _Counted:
        self.workspace.progress.start(title)
        return _Counted(self.workspace)


@dataclass(slots=True)
class _Counted:
    workspace: Workspace
    size: int = 0

    def add(self, size: int) -> None:
        self.size += size
        self.workspace.progress.advance(size=size)


def open_peer(workspace: Workspace, settings: RemoteSettings, datasets: Delegation) -> PoolPeer | None:
    """Return the pool of a remote, None where its settings name none. Nothing is asked of it yet.

    Raises:
        UsageError: when they name one for a remote that is no SSH host.
    """
    parent = settings.options.get(OPTION)
    if not parent:
        return None
    address = parse_address(settings.push_url or settings.url, directory=workspace.root)
    if not isinstance(address, SshAddress):
        raise UsageError(
            f"remote.{settings.name}.zfs is set, but {settings.url} is no SSH host",
            hint=f"dsvc config --unset remote.{settings.name}.zfs",
        )
    from dsvc.remotes.opening import ssh_settings
    from dsvc.remotes.ssh.process import shell_words

    environment = workspace.surroundings.environment
    words = shell_words(ssh_settings(address, settings.place_options), environment)
    program = Program(environment=dict(environment), far=tuple(words), host=address.host)
    near = datasets.provider
    assert isinstance(near, ZfsProvider)
    return PoolPeer(workspace, datasets, near, ZfsProvider(program), str(parent).strip("/"))
