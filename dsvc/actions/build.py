"""Build an image that serves a model, without a container engine."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import IO

from dsvc.actions.build_layers import (
    ENVIRONMENT,
    FOLDER,
    MODEL,
    LayerCache,
    LeftOut,
    content_of,
    environment_members,
    minor_version,
    serving_key,
    serving_members,
    serving_packages,
    wanted_packages,
)
from dsvc.actions.build_record import Origin, annotations_of, origin_of
from dsvc.actions.build_requirements import check_requirements
from dsvc.actions.env import Found, find_environment
from dsvc.actions.env_export import export_environment
from dsvc.actions.model import FoundVersion, find_model
from dsvc.actions.model_folder import RECORD, encode_record, served_record
from dsvc.actions.model_get import model_files
from dsvc.environments import Environment
from dsvc.environments.dockerfile import base_image
from dsvc.environments.restoring import Sources
from dsvc.errors import RequestError
from dsvc.images.artifacts import NAMESPACE, Artifact, put_artifact, send_artifact
from dsvc.images.blobs import Blobs
from dsvc.images.descriptor import Descriptor, UnfitImageError
from dsvc.images.image import Image, Layer, architecture_of, put_image
from dsvc.images.layers import Member, text_member
from dsvc.images.layout import write_archive_file, write_layout
from dsvc.images.logins import Access
from dsvc.images.python import contents_of
from dsvc.images.reference import Reference, parse_reference, path_of, tag_of
from dsvc.images.registry import Registry
from dsvc.images.sigstore import CYCLONEDX, attest, read_bundle_key, sign_message
from dsvc.images.transfer import Base, Sent, fetch_base, send_image
from dsvc.objects.ids import EnvironmentId
from dsvc.objects.tree import FILE_KINDS, EntryKind
from dsvc.signing import Keygen, sign_payload
from dsvc.workspace import Workspace

PORT = 8080
USER = "65532:65532"  # nobody: what images without root call themselves


class NoModelEnvironmentError(RequestError):
    """Nothing says which packages a model needs."""


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """What an image is built from, and how it is named.

    `base` names an image, as `fetch_base` takes it; without it the setting `build.base`, else the recorded container or
    the official image of the environment's Python. `environment` names another environment than the model's, and
    `otherwise` the one to take where nothing says in which it was made. `directory` is where relative paths begin.
    """

    directory: Path
    base: str | None = None
    environment: str | None = None
    sources: Sources = field(default_factory=Sources)
    otherwise: str | None = None


@dataclass(frozen=True, slots=True)
class BuiltLayer:
    """A layer of the image, and what is in it: `base`, `environment`, `serving` or `model`."""

    what: str
    descriptor: Descriptor


@dataclass(frozen=True, slots=True)
class ModelImage:
    """The image of a version of a model, and the folder in which its blobs are."""

    found: FoundVersion
    image: Image
    blobs: Blobs

    @property
    def repository(self) -> str:
        """The path of a repository for this model: its name, as registries spell names."""
        return path_of(self.found.version.name)

    @property
    def tag(self) -> str:
        """The tag of this version: its number."""
        return tag_of(str(self.found.version.version))


@dataclass(frozen=True, slots=True)
class BuildResult:
    """An image in the cache of the repository; `left_out` are packages of the environment that are not in it."""

    found: FoundVersion
    origin: Origin
    base: Base
    image: Image
    layers: tuple[BuiltLayer, ...]
    left_out: tuple[LeftOut, ...]
    blobs: Blobs
    environment_id: EnvironmentId

    @property
    def made(self) -> ModelImage:
        """The image, without how it was built."""
        return ModelImage(self.found, self.image, self.blobs)


def build(
    workspace: Workspace, model: str, options: BuildOptions, *, tell: Callable[[str], None] = lambda _line: None
) -> BuildResult:
    """Make the image of a version of a model, in the cache of the repository.

    The same version, base and dsvc give the same digest. Layers that are there already are not made again. Nothing is
    published; calling again is safe.

    Raises:
        UnknownModelError. NoModelEnvironmentError. UnmetRequirementsError. MissingPackagesError. UnfitImageError.
        BadImageError. RegistryError.
    """
    found = find_model(workspace, model)
    origin = origin_of(workspace, found)
    environment = _environment(workspace, found, origin, options)
    blobs = image_cache(workspace)
    architecture = architecture_of(environment.environment.system.architecture)
    base = fetch_base(
        _base_name(workspace, options, environment.environment), blobs, architecture=architecture,
        access=access_of(workspace), directory=options.directory, progress=workspace.progress,
    )  # fmt: skip
    python = _python(base, blobs, environment.environment)
    cache, variables = LayerCache(blobs), environment.environment
    minor = minor_version(variables)
    wanted, left_out = wanted_packages(variables)
    have = {one.name for one in wanted}
    needed = serving_packages(have)
    check_requirements(workspace, found, (*needed, *wanted))
    scratch = blobs.folder / f"env-{os.getpid()}"
    try:
        packages = cache.layer(
            ["environment", environment.environment_id.hex(), python],
            partial(
                environment_members, workspace, variables, wanted, python=python, sources=options.sources,
                scratch=scratch, tell=tell,
            ),
        )  # fmt: skip
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    serving = cache.layer([*serving_key(have, needed), minor], lambda: serving_members(needed, minor))
    record = encode_record(served_record(workspace, found))
    files = cache.layer(
        ["model", found.version_id.hex(), hashlib.sha256(record).hexdigest()],
        lambda: _model_members(workspace, found, record),
        time=origin.time,
    )
    installed = replace(origin, environment=environment.environment_id)
    notes = annotations_of(found, installed, base=base.name, base_digest=base.image.digest)
    on_top = (
        Layer(packages, f"dsvc build: environment {environment.environment_id.hex()}"),
        Layer(serving, "dsvc build: serving code"),
        Layer(files, f"dsvc build: model {found.version.name} {found.version.version}"),
    )
    image = put_image(
        blobs, base.image, on_top, settings=_settings(notes), time=origin.time,
        annotations={**notes, "org.opencontainers.image.created": _iso(origin.time)},
    )  # fmt: skip
    layers = [BuiltLayer("base", each) for each in base.image.layers]
    layers += [BuiltLayer("environment", packages), BuiltLayer("serving", serving), BuiltLayer("model", files)]
    return BuildResult(found, origin, base, image, tuple(layers), tuple(left_out), blobs, environment.environment_id)


def describe_image(
    workspace: Workspace, built: BuildResult, *, sbom: bool, sign: bool, key: Path | None = None
) -> list[Artifact]:
    """Make what is said about an image: the bill of materials of its packages, and a signature of its manifest.

    The key is that with which commits are signed; with `key`, a PEM file, both are signed in bundles of Sigstore.

    Raises:
        NoSigningKeyError, SigningFailedError, UnfitKeyError: when nothing can be signed.
    """
    pem = read_bundle_key(key) if key is not None else None
    found = []
    if sbom:
        text = export_environment(workspace, built.environment_id.hex(), "sbom").text
        found.append(put_artifact(built.blobs, built.image, "sbom", text.encode()))
        if pem is not None:
            said = attest(built.made.repository, built.image.digest, CYCLONEDX, json.loads(text), pem)
            found.append(put_artifact(built.blobs, built.image, "attestation", said))
    payload = built.blobs.read(built.image.manifest, "the manifest")
    if pem is not None:
        found.append(put_artifact(built.blobs, built.image, "bundle", sign_message(payload, pem)))
    elif sign:
        signing = workspace.surroundings.signing()
        keygen = Keygen(signing.program, signing.environment)
        signature = sign_payload(payload, signing.signing_key(), namespace=NAMESPACE, keygen=keygen)
        found.append(put_artifact(built.blobs, built.image, "signature", signature))
    return found


def write_image(built: BuildResult, place: Path, *, name: str, artifacts: Sequence[Artifact] = ()) -> None:
    """Write an image as an OCI layout into a folder, or into an archive where the place ends in `.tar`.

    `name` is `NAME:TAG`: what an engine calls it that loads the archive; the layout has the tag.

    Raises:
        UnfitImageError. RequestError: when it cannot be written.
    """
    if place.suffix == ".tar":
        write_archive_file(built.image, built.blobs, place, names=[name])
    else:
        write_layout(built.image, built.blobs, place, tag=name.rpartition(":")[2], artifacts=artifacts)


def push_image(
    workspace: Workspace,
    made: ModelImage,
    target: str,
    *,
    repository: str | None = None,
    tag: str | None = None,
    artifacts: Sequence[Artifact] = (),
) -> tuple[Reference, Sent]:
    """Send an image to a registry; `target` is a host, a folder on it, or a whole name with a tag. Return where it is.

    What the registry has is not sent. The reference returned has the digest.

    Raises:
        RegistryError. BadReferenceError.
    """
    reference = target_reference(target, repository or made.repository, tag or made.tag)
    registry = Registry(reference, access_of(workspace))
    sent = send_image(made.image, made.blobs, registry, tag=reference.tag, progress=workspace.progress)
    for artifact in artifacts:
        send_artifact(artifact, made.image, made.blobs, registry)
    return reference.at(made.image.digest), sent


def target_reference(target: str, repository: str, tag: str) -> Reference:
    """Return where an image goes: what is named with a tag stays so, else the repository's name is put behind it."""
    text = target.rstrip("/")
    if ":" in text.rpartition("/")[2] and "/" in text:
        return parse_reference(text)
    return parse_reference(f"{text}/{repository}:{tag}")


def image_cache(workspace: Workspace) -> Blobs:
    """Return the folder of blobs in which images are made."""
    return Blobs(workspace.cache / "images")


def access_of(workspace: Workspace) -> Access:
    """Return how registries are reached: by the logins of Docker, in DOCKER_CONFIG or ~/.docker."""
    variables = workspace.surroundings.environment
    home = variables.get("HOME")
    folder = variables.get("DOCKER_CONFIG") or (os.path.join(home, ".docker") if home else None)
    plain = tuple(workspace.config.get_list("build.insecureRegistries"))
    return Access.of(Path(folder) if folder else None, plain, variables)


def _environment(workspace: Workspace, found: FoundVersion, origin: Origin, options: BuildOptions) -> Found:
    own = origin.environment.hex() if origin.environment is not None else None
    name = options.environment or own or options.otherwise
    if name is None:
        shown = f"{found.version.name}@{found.version.version}"
        raise NoModelEnvironmentError(
            f"nothing says in which environment {shown} was made",
            hint=f"dsvc build {shown} --environment HEAD takes that of a commit",
        )
    return find_environment(workspace, name)


def _base_name(workspace: Workspace, options: BuildOptions, environment: Environment) -> str:
    return options.base or workspace.config.get_str("build.base") or base_image(environment)


def _python(base: Base, blobs: Blobs, environment: Environment) -> str:
    contents = contents_of(base.image, blobs, blobs.folder / "contents")
    minor = minor_version(environment)
    told = (base.image.settings.get("config") or {}).get("Env") or ()
    path = next((each.partition("=")[2] for each in told if each.startswith("PATH=")), "")
    python = contents.python(environment.python.implementation, minor, path)
    if python is None:
        there = ", ".join(sorted({name for name, _ in contents.pythons})) or "none"
        raise UnfitImageError(
            f"{base.name} has no Python {minor}, which the environment needs; it has: {there}",
            hint="--base IMAGE names another, such as python:" + minor + "-slim",
        )
    if contents.musl and environment.system.libc.startswith("glibc"):
        raise UnfitImageError(
            f"{base.name} is made with musl, and the packages of the environment for {environment.system.libc}",
            hint="--base IMAGE names another, such as python:" + minor + "-slim",
        )
    return python


def _model_members(workspace: Workspace, found: FoundVersion, record: bytes) -> Iterator[Member]:
    store = workspace.repo.store
    for path, entry in model_files(workspace, found):
        place = f"{MODEL}/{os.fsdecode(path)}"
        if entry.kind in FILE_KINDS:
            yield Member(
                place, entry.size, partial(_opened, workspace, entry.id), entry.kind == EntryKind.EXECUTABLE
            )
        elif entry.kind == EntryKind.SYMLINK:
            yield Member(place, link=os.fsdecode(b"".join(store.file_chunks(entry.id))))
        elif entry.kind == EntryKind.TREE:
            yield Member(place)
    yield text_member(f"{MODEL}/{RECORD}", record)


def _opened(workspace: Workspace, file_id: bytes) -> IO[bytes]:
    return content_of(iter(workspace.repo.store.file_chunks(file_id)))


def _settings(notes: dict[str, str]) -> dict[str, object]:
    return {
        "Entrypoint": [f"/{ENVIRONMENT}/bin/python", "-m", "dsvc.serving"],
        "Cmd": [f"/{MODEL}"],
        "Env": {"DSVC_SERVE_HOST": "0.0.0.0", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"},  # noqa: S104
        "ExposedPorts": {f"{PORT}/tcp": {}},
        "Labels": notes,
        "User": USER,
        "WorkingDir": f"/{FOLDER}",
        "StopSignal": "SIGTERM",
    }


def _iso(time: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
