"""Walk from a live endpoint to the data, code, environment and run of the model that it serves."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from dsvc.actions.deploy_place import open_place
from dsvc.actions.deployments import FoundDeployment, UnknownDeploymentError, find_deployment
from dsvc.actions.lineage_graph import MARKS, Mark
from dsvc.actions.model import read_version, versions_of
from dsvc.actions.runs import get_run
from dsvc.actions.verify_provenance import VerifyResult, verify_provenance
from dsvc.deployments.deployment import Deployment
from dsvc.deployments.files import FILE_TARGETS
from dsvc.errors import DsvcError, RemoteError, UsageError
from dsvc.models.version import ModelVersion
from dsvc.objects import trees
from dsvc.objects.ids import ID_LENGTH, CommitId, Kind, ObjectId
from dsvc.runs.names import RunKey
from dsvc.runs.pins import read_pins
from dsvc.workspace import Workspace

_TIMEOUT = 10  # seconds
_MAX = 4 << 20  # bytes of an answer


class EndpointError(RemoteError):
    """An endpoint that does not answer, or with something else than a provenance."""


@dataclass(frozen=True, slots=True)
class EndpointEdge:
    """A step from the endpoint on: to the `deployment`, `image`, `model`, `commit`, `run`, `environment` or `data`."""

    what: str
    mark: Mark
    text: str


@dataclass(frozen=True, slots=True)
class EndpointResult:
    """What an endpoint says, the steps to what is known here, and what lies behind (None: nobody can tell)."""

    url: str
    told: Mapping[str, Any]
    edges: tuple[EndpointEdge, ...]
    behind: VerifyResult | None

    @property
    def mark(self) -> Mark:
        """The worst that was found."""
        marks = [edge.mark for edge in self.edges] + ([self.behind.mark] if self.behind is not None else [])
        return MARKS[max(MARKS.index(mark) for mark in marks)]


def verify_endpoint(workspace: Workspace, url: str, *, token: str = "", content: bool = False) -> EndpointResult:
    """Ask an endpoint what it serves and follow that to the raw data; with `content` all files are read and hashed.

    What a server says of itself is no more than claimed; it is proved where a deployment is recorded and its place runs
    the recorded image.

    Raises:
        EndpointError: when it does not answer as dsvc's servers do.
    """
    told = _ask(url, token)
    walk = _Walk(workspace, told, url)
    edges = tuple(walk.edges())
    behind = None
    if walk.spec:
        with suppress(DsvcError):
            behind = verify_provenance(workspace, [walk.spec], content=content)
    return EndpointResult(url, told, edges, behind)


def is_endpoint(text: str) -> bool:
    """Say whether a word names an endpoint."""
    return text.startswith(("http://", "https://"))


class _Walk:
    def __init__(self, workspace: Workspace, told: Mapping[str, Any], url: str) -> None:
        self._workspace, self._told, self._url = workspace, told, url
        self.spec = ""  # how the version is called here

    def edges(self) -> Iterator[EndpointEdge]:
        name = f"{self._told.get('name')}@{self._told.get('version')}"
        yield from self._deployment(name)
        version_id = _id(self._told.get("version_id"))
        version = read_version(self._workspace, version_id) if version_id is not None else None
        if version is None or version_id is None:
            yield EndpointEdge("model", "missing", f"{name} is not in this repository as the endpoint has it")
            return
        differs = [each for each in _compared(version) if self._told.get(each) != _compared(version)[each]]
        if differs:
            yield EndpointEdge("model", "missing", f"the endpoint says otherwise than {name}: {', '.join(differs)}")
            return
        yield EndpointEdge("model", "proved", f"it says that it is {name}, and all that it says of it is so")
        if versions_of(self._workspace.view(), version.name).get(version.version) == version_id:
            self.spec = f"{version.name}@{version.version}"
        else:
            yield EndpointEdge("model", "missing", f"{name} was removed here, or is another one now")
        yield self._commit(version)
        yield from self._run(version)

    def _deployment(self, name: str) -> Iterator[EndpointEdge]:
        called = self._told.get("deployment")
        found: FoundDeployment | None = None
        if isinstance(called, str) and called:
            with suppress(UnknownDeploymentError, UsageError):
                found = find_deployment(self._workspace, called)
        if found is None:
            said = f"no deployment {called} is recorded here" if called else "it names no deployment"
            yield EndpointEdge("deployment", "claimed", f"{said}; that it serves {name} is its own word")
            return
        one = found.deployment
        if one.model_id.hex() != self._told.get("version_id"):
            text = f"{one.name} is recorded as {one.model}@{one.version}, and the endpoint says that it serves {name}"
            yield EndpointEdge("deployment", "missing", text)
            return
        yield EndpointEdge("deployment", "proved", f"{one.name} {one.number} is recorded as {one.model}@{one.version}")
        yield self._image(one)

    def _image(self, one: Deployment) -> EndpointEdge:
        short = one.digest.partition(":")[2][:12]
        if one.target in FILE_TARGETS:
            return EndpointEdge("image", "claimed", f"that it runs the image {short} is known to whoever started it")
        try:
            status = open_place(self._workspace, one.target).status(one)
        except DsvcError as error:
            return EndpointEdge("image", "claimed", f"its place cannot be asked: {error.message}")
        if status.digest != one.digest:
            return EndpointEdge("image", "missing", f"its place does not run the image {short} that is recorded")
        if any(_leads(self._url, each) for each in status.addresses):
            return EndpointEdge("image", "proved", f"its place runs the image {short} at this address")
        where = ", ".join(status.addresses) or "no address that is known here"
        text = f"its place runs the image {short} at {where}; that this address leads there is the endpoint's own word"
        return EndpointEdge("image", "claimed", text)

    def _commit(self, version: ModelVersion) -> EndpointEdge:
        store = self._workspace.repo.store
        if version.commit is None:
            return EndpointEdge("commit", "missing", "the model is in no commit")
        short = version.commit.hex()[:10]
        if not store.has(version.commit, Kind.COMMIT):
            return EndpointEdge("commit", "missing", f"commit {short} is not in this repository")
        entry = trees.lookup(store, self._workspace.tree_of(CommitId(version.commit)), version.path)
        if entry != version.entry:
            return EndpointEdge("commit", "missing", f"commit {short} does not hold these files")
        return EndpointEdge("commit", "proved", f"commit {short} holds these files")

    def _run(self, version: ModelVersion) -> Iterator[EndpointEdge]:
        if version.run is None:
            yield EndpointEdge("run", "missing", "nobody knows what wrote it")
            return
        short = version.run.hex()[:10]
        try:
            run, _ = get_run(self._workspace, RunKey(version.run))
        except DsvcError:
            yield EndpointEdge("run", "missing", f"the record of run {short} is not in this repository")
            return
        yield EndpointEdge("run", "proved", f"run {short} is recorded here")
        if run.environment is None or not self._workspace.repo.store.has(run.environment, Kind.ENVIRONMENT):
            yield EndpointEdge("environment", "missing", f"the environment of run {short} is not in this repository")
        else:
            yield EndpointEdge("environment", "proved", f"environment {run.environment.hex()[:10]} is recorded here")
        pins = {(pin.path.decode("utf-8", "backslashreplace"), pin.id.hex() if pin.id is not None else None)
                for pin in read_pins(self._workspace.repo.store, run.inputs)}  # fmt: skip
        listed = self._told.get("datasets") or []
        wrong = [each.get("path") for each in listed if (each.get("path"), each.get("id")) not in pins]
        if wrong or self._told.get("datasets_count") != run.inputs.count:
            named = f": {', '.join(map(str, wrong[:5]))}" if wrong else ""
            yield EndpointEdge("data", "missing", f"it names other data than run {short} read{named}")
        else:
            yield EndpointEdge("data", "proved", f"run {short} read what it names: {run.inputs.count:,} files")


def _compared(version: ModelVersion) -> dict[str, Any]:
    """Return what an endpoint must say of a version."""
    return {
        "name": version.name,
        "version": version.version,
        "content": version.entry.id.hex(),
        "commit": _hex(version.commit),
        "run": _hex(version.run),
        "run_id": _hex(version.run_id),
        "environment": _hex(version.environment),
    }


def _ask(url: str, token: str) -> Mapping[str, Any]:
    address = url.rstrip("/").removesuffix("/provenance") + "/provenance"
    headers = {"Accept": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    try:
        request = urllib.request.Request(address, headers=headers)  # noqa: S310
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:  # noqa: S310
            told = json.loads(answer.read(_MAX))
    except urllib.error.HTTPError as error:
        hint = "--token-file FILE sends a token" if error.code in (401, 403) else "is it a server of dsvc?"
        raise EndpointError(f"{address} answered with {error.code}", hint=hint) from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise EndpointError(f"{url} cannot be reached: {reason}", hint="dsvc deploy status NAME") from error
    except ValueError as error:
        raise EndpointError(f"{address} is no provenance", hint="is it a server of dsvc?") from error
    if not isinstance(told, dict) or "version_id" not in told:
        raise EndpointError(f"{address} is no provenance", hint="is it a server of dsvc?")
    return told


def _leads(url: str, address: str) -> bool:
    """Say whether a URL is the address of a place; where that names no port, such as an Ingress, any port is."""
    asked, known = urllib.parse.urlsplit(url), urllib.parse.urlsplit(address)
    here = ("localhost", "127.0.0.1", "::1", "0.0.0.0")  # noqa: S104
    same = asked.hostname == known.hostname or (asked.hostname in here and known.hostname in here)
    return same and known.port in (None, asked.port)


def _id(text: object) -> ObjectId | None:
    try:
        found = bytes.fromhex(text) if isinstance(text, str) else b""
    except ValueError:
        return None
    return ObjectId(found) if len(found) == ID_LENGTH else None


def _hex(value: bytes | None) -> str | None:
    return value.hex() if value is not None else None
