"""A Docker engine as a place, through the library `docker`.

A deployment is one container a replica, `NAME-1`, `NAME-2` ..., each with a port of its own from the deployment's on.
Labels say whose a container is, and by which settings it was made: one that is as it should be is left running. Where
one of them cannot be started, those that were there before run again.
"""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dsvc.deployments.deployment import Deployment, encode_spec
from dsvc.deployments.docker_exchange import end, exchange, found_at_rest
from dsvc.deployments.feedback import FOLDER, keeps_feedback, volume_name
from dsvc.deployments.metrics import ask_metrics
from dsvc.deployments.place import Applied, InTheWayError, Package, PlaceError, Status
from dsvc.deployments.quantities import bytes_of, cores_of
from dsvc.errors import RequestError

PORT = 8080
_DEPLOYMENT, _SETTINGS = "dsvc.deployment", "dsvc.settings"
_FINISHED = (".parquet", ".jsonl")
_PYTHON = "/opt/dsvc/env/bin/python"
_REMOVE = "import pathlib, sys\nfor name in sys.argv[1:]: pathlib.Path(name).unlink(missing_ok=True)"
_LOGGED = 5  # lines of a container that failed
_GETS_READY = 60  # seconds that a server has before the next one is exchanged all the same


@dataclass(frozen=True, slots=True)
class EnginePlace:
    """An engine; `variables` give values that are kept where it runs, `address` is where its ports are reached."""

    client: Any
    variables: Mapping[str, str]
    address: str

    @property
    def starts(self) -> bool:
        """It runs what is brought to it."""
        return True

    def apply(self, made: Deployment, package: Package, before: Deployment | None) -> Applied:
        """Load or pull the image, then bring the containers there one after the other; see `Place`."""
        del before
        changed, removed = [], []
        with _told():
            image = self._image(made, package)
            kept = self._values(made)
            bridged = any(net.name == "bridge" for net in self.client.networks.list(names=["bridge"]))
            there = {each.name: each for each in self.client.containers.list(all=True, ignore_removed=True)}
            wanted = {}
            for index in range(made.spec.replicas):
                settings = _settings(made, image, kept, index, bridged=bridged)
                told = json.dumps({**settings, "spec": encode_spec(made.spec)}, sort_keys=True, default=str)
                wanted[f"{made.name}-{index + 1}"] = settings, hashlib.sha256(told.encode()).hexdigest()
            for name in wanted:
                if name in there and there[name].labels.get(_DEPLOYMENT) != made.name:
                    raise InTheWayError(f"there is a container {name}, which is none of dsvc's", hint="--name NAME")
            ours = found_at_rest(lambda: self._containers(made))
            with exchange(self.client, made.name) as exchanged:
                last: tuple[str, Any] | None = None
                for index, (name, (settings, digest)) in enumerate(wanted.items()):
                    old, url = ours.get(name), self._url(made, index)
                    if old is not None and old.labels.get(_SETTINGS) == digest and _is_well(old, url):
                        continue
                    if last is not None and old is not None:
                        _await_answer(*last)  # so that one of them always answers
                    settings["labels"] = {**settings["labels"], _SETTINGS: digest}
                    last = url, exchanged.put(name, old, image, settings)
                    changed.append(name)
            for name, old in ours.items():
                if name not in wanted:
                    end(old)
                    removed.append(name)
        return Applied(tuple(changed), tuple(removed))

    def status(self, made: Deployment) -> Status:
        """Ask each container, and each server whether it is ready."""
        ready, facts, addresses, ended = 0, [], [], 0
        digests: set[str] = set()
        with _told():
            found = self._containers(made)
            for index in range(made.spec.replicas):
                name = f"{made.name}-{index + 1}"
                one = found.get(name)
                if one is None:
                    facts.append(f"{name} is gone")
                    continue
                # The engine keeps the image of a container by its id, and the labels beside it as they were set.
                runs = one.attrs.get("Image") == one.labels.get("dsvc.image")
                digests.add(one.labels.get("dsvc.digest", "") if runs else "")
                url = self._url(made, index)
                if one.status == "running" and _answers(f"{url}/v2/health/ready"):
                    ready += 1
                    addresses.append(url)
                    continue
                state = one.attrs.get("State") or {}
                ended += one.status == "exited" or int(one.attrs.get("RestartCount") or 0) > 0
                said = one.logs(tail=_LOGGED).decode("utf-8", "replace").strip().splitlines()
                facts += [f"{name} is {one.status}, exit code {state.get('ExitCode')}", *said]
        wanted = made.spec.replicas
        digest = digests.pop() if len(digests) == 1 else ""
        if ready == wanted:
            return Status("ready", ready, wanted, tuple(addresses), digest=digest)
        state_word = "gone" if not found else "failed" if ended else "waiting"
        return Status(state_word, ready, wanted, tuple(addresses), tuple(facts), digest)  # type: ignore[arg-type]

    def logs(self, made: Deployment, lines: int) -> Iterator[str]:
        """Yield the last lines of each container."""
        with _told():
            for name, one in sorted(self._containers(made).items()):
                for line in one.logs(tail=lines).decode("utf-8", "replace").splitlines():
                    yield f"{name}: {line}"

    def logs_elsewhere(self, made: Deployment) -> str:
        """They are here."""
        del made
        return ""

    def metrics(self, made: Deployment) -> Iterator[str]:
        """Ask each server at its port."""
        token = self._values(made).get("DSVC_SERVE_TOKEN", "")
        for index in range(made.spec.replicas):
            yield ask_metrics(self._url(made, index), token)

    def remove(self, made: Deployment) -> Applied:
        """End and remove the containers."""
        with _told():
            found = self._containers(made)
            for one in found.values():
                end(one)
        volume = volume_name(made)
        kept = f"what was logged stays in the volume {volume}: 'docker volume rm {volume}' removes it"
        return Applied(removed=tuple(sorted(found)), next=kept if keeps_feedback(made) and not made.canary_of else "")

    def fetch_feedback(self, made: Deployment, folder: Path) -> list[str]:
        """Copy the finished files of its volume into a folder, and return their names; raises PlaceError.

        A journal that a server still writes stays where it is: its rows come with the file that it becomes.
        """
        names: list[str] = []
        with _told(), tempfile.TemporaryFile() as file:
            for one in list(self._containers(made).values())[:1]:  # all have the same volume
                for piece in one.get_archive(FOLDER)[0]:
                    file.write(piece)
                file.seek(0)
                with tarfile.open(fileobj=file) as archive:
                    for member in archive:
                        name, content = os.path.basename(member.name), archive.extractfile(member)
                        if content is not None and name.endswith(_FINISHED):
                            (folder / name).write_bytes(content.read())
                            names.append(name)
        return names

    def remove_feedback(self, made: Deployment, names: list[str]) -> None:
        """Remove files from its volume, if a container runs that can; raises PlaceError."""
        with _told():
            for one in self._containers(made).values():
                if one.status == "running":
                    one.exec_run([_PYTHON, "-c", _REMOVE, *(f"{FOLDER}/{name}" for name in names)])
                    return

    def _containers(self, made: Deployment) -> dict[str, Any]:
        label = {"label": f"{_DEPLOYMENT}={made.name}"}
        # Without `ignore_removed` one that another process removes during the listing makes all of it fail.
        found = self.client.containers.list(all=True, filters=label, ignore_removed=True)
        return {each.name: each for each in found}

    def _image(self, made: Deployment, package: Package) -> str:
        """Return the id of the image in the engine, which has it then."""
        from docker.errors import ImageNotFound

        if made.metadata.get("registry"):
            try:
                return str(self.client.images.get(made.image).id)
            except ImageNotFound:
                repository, _, digest = made.image.partition("@")
                return str(self.client.images.pull(repository, tag=digest).id)
        try:
            image = self.client.images.get(made.image)
            if image.id in (package.config, made.digest):  # the second where it is containerd that keeps images
                return str(image.id)
        except ImageNotFound:
            pass
        with tempfile.TemporaryFile() as file:
            package.archive(file)
            file.seek(0)
            self.client.images.load(file)
        image = self.client.images.get(made.image)
        if image.id not in (package.config, made.digest):
            raise PlaceError(f"the engine made {image.id} of the image {package.config}")
        return str(image.id)

    def _values(self, made: Deployment) -> dict[str, str]:
        """Return the variables of the server, those without a value from the surroundings of the command."""
        missing = [name for name, value in made.spec.env.items() if value is None and name not in self.variables]
        if missing:
            raise RequestError(
                f"the variable {missing[0]} has no value here", hint=f"export {missing[0]}=... before 'dsvc deploy'"
            )
        return {name: self.variables[name] if value is None else value for name, value in made.spec.env.items()}

    def _url(self, made: Deployment, index: int) -> str:
        host = made.spec.host if made.spec.host not in ("", "0.0.0.0") else self.address  # noqa: S104
        return f"http://{host}:{made.spec.port + index}"


def open_engine(variables: Mapping[str, str]) -> EnginePlace:
    """Return the engine that DOCKER_HOST names, else the one of this machine.

    Raises:
        PlaceError: when it does not answer. RequestError: when the library is missing.
    """
    try:
        import docker
    except ModuleNotFoundError as error:
        raise RequestError("speaking to Docker needs a library", hint="pip install 'dsvc[docker]'") from error
    host = variables.get("DOCKER_HOST", "")
    with _told():
        client = docker.from_env(environment=dict(variables), timeout=120)
        client.ping()
    return EnginePlace(client, variables, urlsplit(host).hostname or "127.0.0.1")


def _settings(
    made: Deployment, image: str, values: Mapping[str, str], index: int, *, bridged: bool
) -> dict[str, Any]:
    """Return how a container is made; without a bridge it shares the network of its host."""
    spec = made.spec
    bind, port = spec.host or "127.0.0.1", spec.port + index
    env = {"DSVC_SERVE_DEPLOYMENT": made.name, **values}
    network: dict[str, Any] = {"ports": {f"{PORT}/tcp": (bind, port)}}
    if not bridged:
        network = {"network_mode": "host"}
        env |= {"DSVC_SERVE_HOST": bind, "DSVC_SERVE_PORT": str(port)}
    limits: dict[str, Any] = {}
    if spec.cpu:
        limits["nano_cpus"] = int(cores_of(spec.cpu) * 1e9)
    if spec.memory:
        limits["mem_limit"] = bytes_of(spec.memory)
    if spec.gpu:
        from docker.types import DeviceRequest

        limits["device_requests"] = [DeviceRequest(count=spec.gpu, capabilities=[["gpu"]])]
    if keeps_feedback(made):
        limits["volumes"] = {volume_name(made): {"bind": FOLDER, "mode": "rw"}}
    return {
        "environment": env,
        "labels": {_DEPLOYMENT: made.name, "dsvc.image": image, "dsvc.digest": made.digest},
        "read_only": True,
        "tmpfs": {"/tmp": ""},  # noqa: S108
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "restart_policy": {"Name": "on-failure", "MaximumRetryCount": 5},
        "init": True,
        **network,
        **limits,
    }


def _is_well(container: Any, url: str) -> bool:
    """Say whether a container may be left as it is: one that the engine keeps starting again is no such."""
    if container.status != "running":
        return False
    return not int(container.attrs.get("RestartCount") or 0) or _answers(f"{url}/v2/health/ready")


def _await_answer(url: str, container: Any) -> None:
    """Return when a server is ready, has failed, or takes too long."""
    until = time.monotonic() + _GETS_READY
    while time.monotonic() < until and not _answers(f"{url}/v2/health/ready"):
        container.reload()
        if container.status != "running" or int(container.attrs.get("RestartCount") or 0):
            return
        time.sleep(0.2)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


@contextmanager
def _told() -> Iterator[None]:
    """Say in words of ours what the engine says."""
    from docker.errors import APIError, DockerException
    from requests.exceptions import RequestException

    try:
        yield
    except (DockerException, RequestException) as error:
        text = getattr(error, "explanation", None) or str(error)
        answered = isinstance(error, APIError)
        hint = None if answered else "DOCKER_HOST names another; is it running?"
        raise PlaceError(f"the Docker engine says: {' '.join(str(text).split())}", hint=hint) from error


