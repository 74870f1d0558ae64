"""A server that speaks what is documented of Dotmesh's JSON-RPC API; branches and commits are folders.

Dotmesh itself needs a ZFS and a Docker of its time. Requests are checked as its server checks them: user and key, names
of fields, names of dots and branches.
"""

from __future__ import annotations

import base64
import json
import re
import shutil
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

KEY = "the-key-of-admin"
NAME = re.compile(r"[a-zA-Z0-9_\-]{1,50}\Z")  # as pkg/validator has it


class RefusedError(Exception):
    pass


@dataclass
class Branch:
    identity: str
    folder: Path
    origin: tuple[str, str] | None = None
    commits: list[str] = field(default_factory=list)


@dataclass
class Dotmesh:
    folder: Path
    port: int = 0
    dots: dict[tuple[str, str], dict[str, Branch]] = field(default_factory=dict)
    transfers: list[dict[str, Any]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)

    # The methods, by their names and the fields of their arguments.

    def Ping(self) -> bool:
        return True

    def Create(self, Namespace: str, Name: str) -> bool:
        if not NAME.match(Name) or not NAME.match(Namespace):
            raise RefusedError(f"Invalid volume name {Namespace}/{Name}")
        if (Namespace, Name) in self.dots:
            raise RefusedError(f"A volume called {Namespace}/{Name} already exists")
        self.dots[Namespace, Name] = {"": self._branch()}
        return True

    def Exists(self, Namespace: str, Name: str, Branch: str) -> str:
        found = self.dots.get((Namespace, Name), {}).get(Branch)
        return found.identity if found is not None else ""

    def Get(self, identity: str) -> dict[str, Any]:
        for (namespace, name), branches in self.dots.items():
            for branch, found in branches.items():
                if found.identity == identity:
                    return {
                        "Id": identity,
                        "Name": {"Namespace": namespace, "Name": name},
                        "Branch": branch,
                        "SizeBytes": sum(p.stat().st_size for p in found.folder.rglob("*")),
                        "DirtyBytes": self._dirty(found),
                        "CommitCount": len(found.commits),
                    }
        raise RefusedError(f"No such filesystem id {identity}")

    def Procure(self, Namespace: str, Name: str, Subdot: str) -> str:
        name, _, branch = Name.partition("@")
        if Subdot != "__root__":
            raise RefusedError("another subdot than the root")
        return str(self._find(Namespace, name, branch).folder)

    def Commit(self, Namespace: str, Name: str, Branch: str, Message: str, Metadata: dict[str, str]) -> str:
        if any(key[0].isupper() for key in Metadata):
            raise RefusedError("Metadata field names must start with lowercase characters")
        branch = self._find(Namespace, Name, Branch)
        commit = str(uuid.uuid4())
        shutil.copytree(branch.folder, self._commit(branch, commit), symlinks=True)
        branch.commits.append(commit)
        return commit

    def Commits(self, Namespace: str, Name: str, Branch: str) -> list[dict[str, Any]]:
        branch = self._find(Namespace, Name, Branch)
        return [{"Id": commit, "Metadata": {"author": "admin"}} for commit in branch.commits]

    def Branches(self, Namespace: str, Name: str) -> list[str]:
        self._find(Namespace, Name, "")
        return sorted(name for name in self.dots[Namespace, Name] if name)

    def Branch(self, Namespace: str, Name: str, SourceBranch: str, NewBranchName: str, SourceCommitId: str) -> bool:
        source = self._find(Namespace, Name, "" if SourceBranch == "master" else SourceBranch)
        if SourceCommitId not in source.commits:
            raise RefusedError(f"no commit {SourceCommitId}")
        if not NAME.match(NewBranchName):
            raise RefusedError(f"Invalid branch name {NewBranchName}")
        made = self._branch((source.identity, SourceCommitId), self._commit(source, SourceCommitId))
        self.dots[Namespace, Name][NewBranchName] = made
        return True

    def Rollback(self, Namespace: str, Name: str, Branch: str, SnapshotId: str) -> bool:
        branch = self._find(Namespace, Name, Branch)
        del branch.commits[branch.commits.index(SnapshotId) + 1 :]
        for child in branch.folder.iterdir():
            shutil.rmtree(child) if child.is_dir() else child.unlink()
        shutil.copytree(self._commit(branch, SnapshotId), branch.folder, symlinks=True, dirs_exist_ok=True)
        return True

    def MountCommit(self, FilesystemId: str, CommitId: str) -> str:
        folder = self.folder / "commits" / FilesystemId / CommitId
        if not folder.exists():
            raise RefusedError(f"Cannot find commit with id {CommitId} for filesystem {FilesystemId}")
        return str(folder)

    def DeducePathToTopLevelFilesystem(
        self, RemoteNamespace: str, RemoteFilesystemName: str, RemoteCloneName: str
    ) -> dict[str, Any]:
        branches = self.dots[RemoteNamespace, RemoteFilesystemName]
        names = {branch.identity: name for name, branch in branches.items()}
        clones: list[dict[str, Any]] = []
        name = RemoteCloneName
        while name:
            branch = branches[name]
            assert branch.origin is not None
            origin = {"FilesystemId": branch.origin[0], "SnapshotId": branch.origin[1]}
            clones.insert(0, {"Name": name, "Clone": {"FilesystemId": branch.identity, "Origin": origin}})
            name = names[branch.origin[0]]
        return {
            "TopLevelFilesystemId": branches[""].identity,
            "TopLevelFilesystemName": {"Namespace": RemoteNamespace, "Name": RemoteFilesystemName},
            "Clones": clones,
        }

    def Transfer(self, **asked: Any) -> str:
        wanted = {"Peer", "Port", "User", "ApiKey", "Direction", "TargetCommit"}
        wanted |= {f"{side}{what}" for side in ("Local", "Remote") for what in ("Namespace", "Name", "BranchName")}
        if set(asked) != wanted or asked["Direction"] not in ("push", "pull"):
            raise RefusedError(f"a transfer of {sorted(asked)}")
        self.transfers.append({**asked, "polls": 0})
        return str(len(self.transfers) - 1)

    def GetTransfer(self, number: str) -> dict[str, Any]:
        transfer = self.transfers[int(number)]
        transfer["polls"] += 1
        failed = transfer["RemoteName"] == "nowhere"
        states = ("starting", "running", "error" if failed else "finished")
        return {"Status": states[min(transfer["polls"] - 1, 2)], "Message": "no such dot" if failed else ""}

    # What they share.

    def _find(self, namespace: str, name: str, branch: str) -> Branch:
        found = self.dots.get((namespace, name), {}).get(branch)
        if found is None:
            raise RefusedError(f"No such filesystem named {namespace}/{name}")
        return found

    def _branch(self, origin: tuple[str, str] | None = None, source: Path | None = None) -> Branch:
        identity = str(uuid.uuid4())
        folder = self.folder / "mnt" / identity
        if source is not None:
            shutil.copytree(source, folder, symlinks=True)
        else:
            folder.mkdir(parents=True)
        return Branch(identity, folder, origin)

    def _commit(self, branch: Branch, commit: str) -> Path:
        return self.folder / "commits" / branch.identity / commit

    def _last(self, branch: Branch) -> Path | None:
        if branch.commits:
            return self._commit(branch, branch.commits[-1])
        return self.folder / "commits" / branch.origin[0] / branch.origin[1] if branch.origin else None

    def changes(self, branch: Branch) -> list[dict[str, Any]]:
        last = self._last(branch)
        old = {str(p.relative_to(last)): p.read_bytes() for p in last.rglob("*") if p.is_file()} if last else {}
        new = {str(p.relative_to(branch.folder)): p.read_bytes() for p in branch.folder.rglob("*") if p.is_file()}
        kinds = {name: 3 if name not in new else 1 if name not in old else 2 for name in old.keys() | new.keys()}
        return [{"change": kinds[n], "filename": n} for n in sorted(kinds) if old.get(n) != new.get(n)]

    def _dirty(self, branch: Branch) -> int:
        return 4096 * len(self.changes(branch))

    @contextmanager
    def running(self) -> Iterator[Dotmesh]:
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"dotmesh": self}))
        server.daemon_threads = True
        self.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    dotmesh: Dotmesh

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/rpc" or not self._known():
            return
        service, _, method = asked["method"].partition(".")
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": asked["id"]}
        self.dotmesh.calls.append(method)
        try:
            if service != "DotmeshRPC" or method.startswith("_") or not method[:1].isupper():
                raise RefusedError(f"rpc: can't find service {asked['method']!r}")
            params = asked["params"]
            call = getattr(self.dotmesh, method)
            answer["result"] = call(**params) if isinstance(params, dict) else call(params)
        except Exception as error:
            answer["error"] = {"code": -32000, "message": str(error), "data": None}
        self._answer(200, json.dumps(answer).encode())

    def do_GET(self) -> None:
        if not self._known():
            return
        found = re.fullmatch(r"/diff/([^:/]+):([^:/]+)", self.path)
        if found is None:
            self._answer(404, b"404 page not found")
            return
        branch = self.dotmesh.dots[found[1], found[2]][""]
        self._answer(200, json.dumps(self.dotmesh.changes(branch)).encode())

    def _known(self) -> bool:
        token = base64.b64encode(f"admin:{KEY}".encode()).decode()
        if self.headers.get("Authorization") == f"Basic {token}":
            return True
        self._answer(401, b"Unauthorized.")
        return False

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: object) -> None:
        pass
