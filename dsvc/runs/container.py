"""Run a command in a container: by the program `docker` or `podman`, with the working copy at the same path."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from dsvc.errors import RequestError
from dsvc.objects.codec import Value

META: Final = "container"  # name of the metadata
_ENGINES = ("docker", "podman")
_WAIT = 20  # seconds for an engine that does not answer
_PULL = 3600
# What podman --init needs, which is a package of its own.
_INITS = tuple(f"/usr/{folder}/podman/catatonit" for folder in ("libexec", "local/libexec", "lib", "local/lib"))


class NoEngineError(RequestError):
    """No container engine answers, or it does not have the image."""


@dataclass(frozen=True, slots=True)
class Container:
    """An image that an engine has: its name as given, its id, and the digests under which registries know it."""

    engine: str
    image: str
    image_id: str
    digests: tuple[str, ...] = ()

    @property
    def facts(self) -> dict[str, Value]:
        """What a record says of it."""
        found: dict[str, Value] = {"engine": os.path.basename(self.engine), "image": self.image, "id": self.image_id}
        return {**found, "digests": self.digests} if self.digests else found

    @property
    def name(self) -> str:
        """The image as it was given, with the digest that a registry knows it by, if one does."""
        if "@" in self.image or not self.digests:
            return self.image
        head, colon, tag = self.image.rpartition(":")
        repository = head if colon and "/" not in tag else self.image
        digest = {one.partition("@")[0]: one for one in self.digests}.get(repository, self.digests[0])
        return f"{self.image}@{digest.partition('@')[2]}"

    def words(
        self,
        command: Sequence[str],
        *,
        directory: str,
        folders: Iterable[tuple[str, bool]],
        variables: Iterable[str],
    ) -> list[str]:
        """Return the command line that runs `command` in it, as the user of this process.

        `folders` are at the same path inside, writable where that is said; `variables` are names.
        """
        words = [self.engine, "run", "--rm", f"--workdir={directory}", f"--user={os.getuid()}:{os.getgid()}"]
        is_podman = os.path.basename(self.engine) == "podman"
        if not is_podman or any(map(os.path.exists, _INITS)):
            words += ["--init"]
        if is_podman and os.getuid():  # as root it needs none, and takes none
            words += ["--userns=keep-id"]
        for folder, writable in folders:
            mode = "" if writable else ",readonly"
            words += ["--mount", f"type=bind,source={folder},target={folder}{mode}"]
        words += [f"--env={name}" for name in variables]
        return [*words, self.image_id, *command]


def find_engine(environment: Mapping[str, str]) -> str | None:
    """Return the path of a program of a container engine that answers, None where none does."""
    for name in _ENGINES:
        program = shutil.which(name, path=environment.get("PATH", os.defpath))
        if program is None:
            continue
        try:
            done = subprocess.run(
                [program, "version", "--format", "{{.Server.Version}}"],
                env=dict(environment),
                capture_output=True,
                timeout=_WAIT,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            continue
        if done.returncode == 0 and done.stdout.strip():
            return program
    return None


def find_container(image: str, environment: Mapping[str, str]) -> Container:
    """Return an image, pulled where the engine does not have it.

    Raises:
        NoEngineError: where no engine answers, or it cannot have the image.
    """
    engine = find_engine(environment)
    if engine is None:
        raise NoEngineError(
            "no container engine answers: neither docker nor podman", hint="start one, or leave --container out"
        )
    found = _inspect(engine, image, environment)
    if found is None:
        pulled = subprocess.run(
            [engine, "pull", "--quiet", image],
            env=dict(environment),
            capture_output=True,
            text=True,
            timeout=_PULL,
            check=False,
        )
        found = _inspect(engine, image, environment)
        if found is None:
            reason = (pulled.stderr.strip().splitlines() or ["it says nothing"])[-1]
            name = os.path.basename(engine)
            raise NoEngineError(f"{name} has no image {image}: {reason}", hint=f"{name} images")
    digests = found.get("RepoDigests")
    listed = tuple(map(str, digests)) if isinstance(digests, list) else ()
    image_id = str(found.get("Id", image))
    if len(image_id) == 64 and ":" not in image_id:  # as podman says it
        image_id = f"sha256:{image_id}"
    return Container(engine, image, image_id, listed)


def _inspect(engine: str, image: str, environment: Mapping[str, str]) -> dict[str, object] | None:
    done = subprocess.run(
        [engine, "image", "inspect", image], env=dict(environment), capture_output=True, timeout=_WAIT, check=False
    )
    try:
        found = json.loads(done.stdout)
    except ValueError:
        return None
    return found[0] if done.returncode == 0 and isinstance(found, list) and found else None
