"""Dotmesh as a provider of snapshots, through the JSON-RPC API of its server (`DotmeshRPC.*`, port 32607).

Dotmesh is no longer maintained. This file stands alone: no other module of dsvc imports it, and it can be deleted.

A dataset is a branch of a dot, `namespace/name` for the branch master and `namespace/name:branch` for others; a
snapshot is a commit, and its guid the commit's id, which a transfer keeps. The server has to run on this machine: it
mounts a branch at a place of its own, and the folder of a working copy is a symbolic link there. The methods and their
fields are those of github.com/dotmesh-io/dotmesh, cmd/dotmesh-server/rpc.go and pkg/types.
"""

from __future__ import annotations

import base64
import http.client
import itertools
import json
import os
import re
import time
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from dsvc.errors import RemoteError, RequestError
from dsvc.storage.snapshots import Dataset, FileChange, Kept, Read

PORT = 32607
_MASTER = "master"
_MADE = re.compile(r"-(dsvc-[0-9a-f]{8})\Z")
_LETTERS: dict[int, Literal["A", "D", "M", "R"]] = {1: "A", 2: "M", 3: "D", 4: "R"}  # types.FileChange
_POLL = 0.2  # seconds


class DotmeshUnreachableError(RemoteError):
    """The server of Dotmesh does not answer."""


class DotmeshError(RequestError):
    """Dotmesh refused something."""


@dataclass(slots=True)
class Api:
    """Calls of one server as one user; `key` is the API key that `dm` keeps in ~/.dotmesh/config."""

    host: str = "127.0.0.1"
    port: int = PORT
    user: str = "admin"
    key: str = ""
    timeout: float = 60.0
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def call(self, method: str, params: object) -> Any:
        """Return the result of `DotmeshRPC.METHOD`.

        Raises:
            DotmeshUnreachableError: when there is no answer. DotmeshError: when it is an error.
        """
        number = next(self._numbers)
        asked = {"jsonrpc": "2.0", "method": f"DotmeshRPC.{method}", "params": params, "id": number}
        said = self._ask("POST", "/rpc", json.dumps(asked).encode(), method)
        answer = json.loads(said)
        if not isinstance(answer, dict) or answer.get("id") != number:
            raise DotmeshError(f"what answers at {self.host}:{self.port} is no Dotmesh", hint="dm version")
        if answer.get("error") is not None:
            error = answer["error"]
            reason = error.get("message", error) if isinstance(error, dict) else error
            raise DotmeshError(f"Dotmesh refused {method}: {reason}", hint="'dm list' shows the dots that there are")
        return answer.get("result")

    def get(self, path: str) -> Any:
        """Return the JSON document at a path of the server. Raises as `call` does."""
        return json.loads(self._ask("GET", path, None, path))

    def _ask(self, verb: str, path: str, body: bytes | None, what: str) -> bytes:
        token = base64.b64encode(f"{self.user}:{self.key}".encode()).decode()
        headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}
        connection = http.client.HTTPConnection(self.host, self.port, timeout=self.timeout)
        try:
            connection.request(verb, path, body, headers)
            response = connection.getresponse()
            said = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise DotmeshUnreachableError(
                f"Dotmesh at {self.host}:{self.port} does not answer: {error}", hint="'dm cluster init' starts it"
            ) from error
        finally:
            connection.close()
        if response.status == 401:
            raise DotmeshError(f"Dotmesh does not know the API key of {self.user}", hint="see ~/.dotmesh/config")
        if response.status != 200:
            shown = said.decode("utf-8", "replace").strip()[:200]
            raise DotmeshError(f"Dotmesh refused {what}: {shown or response.status}", hint="dm cluster status")
        return said


def read_api(config: Path) -> Api:
    """Return the server that is current in the configuration of `dm`.

    Raises:
        DotmeshError: when there is none.
    """
    try:
        document = json.loads(config.read_bytes())
        remote = document["Remotes"][document["CurrentRemote"]]
        return Api(remote["Hostname"], remote.get("Port") or PORT, remote["User"], remote["ApiKey"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DotmeshError(f"{config} names no server of Dotmesh", hint="dm remote -v") from error


class DotmeshProvider:
    """Branches and commits of Dotmesh as datasets and snapshots."""

    kind = "dotmesh"

    def __init__(self, api: Api) -> None:
        self._api = api
        self.in_turn = False
        self._links: dict[str, Path] = {}  # the folders that were seen to lead to a branch

    # Datasets.

    def dataset(self, name: str) -> Dataset | None:
        """See SnapshotProvider. The guid is the filesystem's id."""
        identity = self._identity(name)
        if identity is None:
            return None
        return Dataset(name, identity, self._links.get(name), self._origin(name))

    def dataset_at(self, folder: Path) -> str | None:
        """See SnapshotProvider. The folder is a link to where Dotmesh mounts a branch."""
        with suppress(OSError):
            identity = os.path.basename(os.path.realpath(os.readlink(folder)))
            with suppress(DotmeshError):
                volume = self._api.call("Get", identity)
                name = _joined(volume["Name"]["Namespace"], volume["Name"]["Name"], volume.get("Branch") or "")
                self._links[name] = folder
                return name
        return None

    def make(self, name: str, folder: Path) -> None:
        """Create a dot, and let a folder lead to it."""
        namespace, dot, _ = _split(name)
        self._api.call("Create", {"Namespace": namespace, "Name": dot})
        self.mount(name, folder)

    def clone(self, snapshot: str, dataset: str, folder: Path | None, *, mark: str) -> None:  # noqa: ARG002
        """See SnapshotProvider: a branch of the same dot. Nothing notes who made it."""
        source, _, commit = snapshot.partition("@")
        (namespace, dot, branch), (_, other, new) = _split(source), _split(dataset)
        if dot != other or not new:
            raise DotmeshError(f"{dataset} is no branch of {dot}", hint=f"a branch is called {namespace}/{dot}:NAME")
        words = {"SourceBranch": branch or _MASTER, "NewBranchName": new, "SourceCommitId": commit}
        self._api.call("Branch", {"Namespace": namespace, "Name": dot, **words})
        if folder is not None:
            self.mount(dataset, folder)

    def mount(self, dataset: str, folder: Path) -> None:
        """See SnapshotProvider. A folder with files in it is never replaced."""
        namespace, dot, branch = _split(dataset)
        name = f"{dot}@{branch}" if branch else dot
        place = self._api.call("Procure", {"Namespace": namespace, "Name": name, "Subdot": "__root__"})
        target = os.path.realpath(place)
        if folder.is_symlink():
            if os.path.realpath(folder) == target:
                self._links[dataset] = folder
                return
            folder.unlink()
        elif folder.exists():
            folder.rmdir()
        folder.symlink_to(target)
        self._links[dataset] = folder

    def unmount(self, dataset: str) -> None:
        """See SnapshotProvider. Takes the link away; the branch stays where Dotmesh has it."""
        folder = self._links.pop(dataset, None)
        if folder is not None and folder.is_symlink():
            folder.unlink()

    # Snapshots.

    def create(self, datasets: Sequence[str], label: str) -> list[Kept]:
        """See SnapshotProvider. Dotmesh commits one branch at a time."""
        self.in_turn = len(datasets) > 1
        return [self._commit(name, label) for name in datasets]

    def _commit(self, name: str, label: str) -> Kept:
        commit = self._api.call("Commit", {**_volume(name), "Message": label, "Metadata": {}})
        volume = self._api.call("Get", self._identity(name))
        return Kept(f"{name}@{commit}", commit, int(volume["SizeBytes"]))

    def find(self, guids: Iterable[str], near: Sequence[str]) -> dict[str, Kept]:
        """See SnapshotProvider. All branches of the dots are looked at."""
        wanted, found = set(guids), dict[str, Kept]()
        for namespace, dot in dict.fromkeys(_split(name)[:2] for name in near):
            with suppress(DotmeshError):
                branches = self._api.call("Branches", {"Namespace": namespace, "Name": dot}) or []
                for branch in ("", *branches):
                    for kept in self.snapshots(_joined(namespace, dot, branch)):
                        if kept.guid in wanted:
                            found.setdefault(kept.guid, kept)
        return found

    def snapshots(self, dataset: str) -> list[Kept]:
        """See SnapshotProvider."""
        commits = self._api.call("Commits", _volume(dataset)) or []
        return [Kept(f"{dataset}@{commit['Id']}", commit["Id"]) for commit in commits]

    def hold(self, snapshots: Sequence[str], tag: str) -> None:
        """Do nothing: Dotmesh has no holds, and nothing but a rollback destroys a commit."""

    def release(self, snapshot: str, tag: str) -> bool:  # noqa: ARG002
        """Do nothing; see `hold`."""
        return False

    def destroy(self, name: str) -> bool:  # noqa: ARG002
        """Return False: Dotmesh destroys whole dots only, with all their branches, and dsvc never does that."""
        return False

    def rollback(self, snapshot: str) -> None:
        """See SnapshotProvider.

        Raises:
            DotmeshError: where there are newer commits, which it would destroy.
        """
        dataset, _, commit = snapshot.partition("@")
        newest = self.snapshots(dataset)[-1:]
        if [kept.guid for kept in newest] != [commit]:
            raise DotmeshError(f"{snapshot} is not the newest commit of {dataset}", hint="dm log")
        self._api.call("Rollback", {**_volume(dataset), "SnapshotId": commit})

    # What differs.

    def differs(self, old: str, new: str) -> bool:
        """See SnapshotProvider. Both are mounted, and what stat(2) says of their files is compared."""
        return self._state(old) != self._state(new)

    def unchanged(self, dataset: str, since: str) -> bool:  # noqa: ARG002
        """Return False: what Dotmesh counts may be a second old."""
        return False

    def written(self, dataset: str, since: str) -> bool:
        """See SnapshotProvider. Dotmesh counts the bytes that are in no commit, every second or so."""
        own = self.snapshots(dataset)
        if own and own[-1].name != since and self.differs(since, own[-1].name):
            return True
        return int(self._api.call("Get", self._identity(dataset))["DirtyBytes"]) > 0

    def diff(self, old: str, new: str) -> list[FileChange] | None:
        """See SnapshotProvider. It can tell what was written to the branch master since its newest commit alone."""
        dataset, _, commit = old.partition("@")
        namespace, dot, branch = _split(dataset)
        if new != dataset or branch or [kept.guid for kept in self.snapshots(dataset)[-1:]] != [commit]:
            return None
        found = self._api.get(f"/diff/{namespace}:{dot}") or []
        return [FileChange(_LETTERS.get(item["change"], "M"), os.fsencode(item["filename"])) for item in found]

    def rewritten(self, old: str, new: str) -> dict[int, int] | None:  # noqa: ARG002
        """Return None: Dotmesh does not show its streams."""
        return None

    # Between servers.

    def send(self, snapshot: str, base: str | None) -> AbstractContextManager[Read]:  # noqa: ARG002
        """Raise DotmeshError: it gives out no streams. `transfer` moves commits from one server to another."""
        raise DotmeshError(f"Dotmesh gives out no stream of {snapshot}", hint="'dm push' sends it to another server")

    def receive(self, dataset: str, pieces: Iterable[bytes], guid: str, base: Kept | None, mark: str) -> Kept:  # noqa: ARG002
        """Raise DotmeshError; see `send`."""
        raise DotmeshError(f"Dotmesh receives no stream into {dataset}", hint="'dm clone' fetches a dot")

    def transfer(
        self, dataset: str, direction: Literal["push", "pull"], peer: Api, there: str, *, commit: str = ""
    ) -> None:
        """Move the commits of a branch to another server or from it, up to `commit` or to the newest, and wait for it.

        Raises:
            DotmeshError: when it failed.
        """
        (namespace, dot, branch), (far_namespace, far_dot, far_branch) = _split(dataset), _split(there)
        asked = {
            "Peer": peer.host,
            "Port": peer.port,
            "User": peer.user,
            "ApiKey": peer.key,
            "Direction": direction,
            "LocalNamespace": namespace,
            "LocalName": dot,
            "LocalBranchName": branch,
            "RemoteNamespace": far_namespace,
            "RemoteName": far_dot,
            "RemoteBranchName": far_branch,
            "TargetCommit": commit,
        }
        number = self._api.call("Transfer", asked)
        while True:
            state = self._api.call("GetTransfer", number)
            if state["Status"] == "finished":
                return
            if state["Status"] == "error":
                raise DotmeshError(
                    f"the {direction} of {dataset} failed: {state['Message'] or 'no reason was given'}",
                    hint="run the same command again; what arrived stays",
                )
            time.sleep(_POLL)

    def _identity(self, name: str) -> str | None:
        return self._api.call("Exists", _volume(name)) or None

    def _origin(self, name: str) -> str:
        """Return the commit from which a branch was made."""
        namespace, dot, branch = _split(name)
        if not branch:
            return ""
        asked = {"RemoteNamespace": namespace, "RemoteFilesystemName": dot, "RemoteCloneName": branch}
        path = self._api.call("DeducePathToTopLevelFilesystem", asked)
        names = {path["TopLevelFilesystemId"]: ""}
        for step in path["Clones"]:
            origin = step["Clone"]["Origin"]
            if step["Name"] == branch and origin["FilesystemId"] in names:
                return f"{_joined(namespace, dot, names[origin['FilesystemId']])}@{origin['SnapshotId']}"
            names[step["Clone"]["FilesystemId"]] = step["Name"]
        return ""

    def _state(self, snapshot: str) -> set[tuple[str, int, int, int, str]]:
        dataset, _, commit = snapshot.partition("@")
        root = self._api.call("MountCommit", {"FilesystemId": self._identity(dataset), "CommitId": commit})
        found = set()
        for folder, folders, files in os.walk(root):
            for name in folders + files:
                path = os.path.join(folder, name)
                stat = os.lstat(path)
                target = os.readlink(path) if os.path.islink(path) else ""
                changed = 0 if name in folders else stat.st_mtime_ns
                found.add((os.path.relpath(path, root), stat.st_mode, stat.st_size if changed else 0, changed, target))
        return found


def _split(name: str) -> tuple[str, str, str]:
    """Return namespace, dot and branch of a dataset; master is the empty one, `dot-dsvc-1f…` the branch `dsvc-1f…`."""
    namespace, _, rest = name.rpartition("/")
    dot, _, branch = rest.partition(":")
    made = _MADE.search(dot)
    if made is not None and not branch:
        dot, branch = dot[: made.start()], made[1]
    return namespace or "admin", dot, "" if branch == _MASTER else branch


def _joined(namespace: str, dot: str, branch: str) -> str:
    if not branch or branch == _MASTER:
        return f"{namespace}/{dot}"
    return f"{namespace}/{dot}-{branch}" if _MADE.fullmatch(f"-{branch}") else f"{namespace}/{dot}:{branch}"


def _volume(name: str) -> dict[str, str]:
    namespace, dot, branch = _split(name)
    return {"Namespace": namespace, "Name": dot, "Branch": branch}
