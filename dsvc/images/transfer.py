"""Fetch a base from wherever it is named, and send an image to a registry; only what is missing moves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

from dsvc.images.blobs import Blobs
from dsvc.images.descriptor import Descriptor, UnfitImageError
from dsvc.images.image import Image, choose, read_image, read_manifest
from dsvc.images.layout import read_archive, read_layout
from dsvc.images.logins import Access
from dsvc.images.reference import parse_reference
from dsvc.images.registry import Registry, RegistryError, UnreachableRegistryError
from dsvc.progress import Progress, Silent

_SILENT: Progress = Silent()


@dataclass(frozen=True, slots=True)
class Base:
    """An image to build on, and the name by which it was asked for."""

    name: str
    image: Image


@dataclass(frozen=True, slots=True)
class Sent:
    """What was sent to a registry: blobs and bytes, and how many blobs were there already."""

    blobs: int
    size: int
    there: int


def fetch_base(
    name: str,
    blobs: Blobs,
    *,
    architecture: str,
    access: Access,
    directory: Path,
    progress: Progress = _SILENT,
) -> Base:
    """Bring an image into a folder of blobs: a folder with an OCI layout (`DIR` or `DIR:TAG`), an archive of one or of
    `docker save`, else the name of an image at a registry.

    Raises:
        UnfitImageError: when it is no image for this architecture. BadImageError. RegistryError. BadReferenceError.
    """
    path = directory / name
    if path.is_dir():
        return Base(path.name, _checked(read_layout(path, blobs, architecture), architecture, name))
    if path.is_file():
        blobs.folder.mkdir(parents=True, exist_ok=True)
        return Base(path.name, _checked(read_archive(path, blobs, architecture), architecture, name))
    folder, colon, tag = name.rpartition(":")
    if colon and (directory / folder / "oci-layout").is_file():
        image = read_layout(directory / folder, blobs, architecture, tag=tag)
        return Base(f"{(directory / folder).name}:{tag}", _checked(image, architecture, name))
    reference = parse_reference(name)
    registry = Registry(reference, access)
    try:
        image = _fetch(registry, reference.wanted, blobs, architecture, progress)
    except UnreachableRegistryError as error:
        raise RegistryError(
            error.message, hint="--base IMAGE, or build.base, names another one, such as an OCI layout that is here"
        ) from error
    return Base(str(reference.at("")) if not reference.tag else str(reference).partition("@")[0], image)


def send_image(image: Image, blobs: Blobs, registry: Registry, *, tag: str, progress: Progress = _SILENT) -> Sent:
    """Send an image to a registry under a tag; calling again after a break goes on with the blobs that are missing.

    Raises:
        RegistryError: when it was refused or broke off; the tag points to what it did before then.
    """
    unique = {each.digest: each for each in image.blobs}
    missing = [each for each in unique.values() if not registry.has_blob(each.digest)]
    progress.start("Sending", total_bytes=sum(each.size for each in missing))
    for descriptor in missing:
        registry.send_blob(descriptor, _opener(blobs, descriptor, progress))
    progress.finish()
    data = blobs.read(image.manifest, "the manifest")
    registry.send_manifest(data, image.manifest.media_type, tag)
    return Sent(len(missing), sum(each.size for each in missing), len(unique) - len(missing))


def _opener(blobs: Blobs, descriptor: Descriptor, progress: Progress) -> Callable[[], IO[bytes]]:
    def open_content() -> IO[bytes]:
        return _Watched(open(blobs.path(descriptor.digest), "rb"), progress)  # type: ignore[return-value]

    return open_content


class _Watched:
    """A file that tells how far it was read."""

    def __init__(self, file: IO[bytes], progress: Progress) -> None:
        self._file, self._progress = file, progress

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._file.close()

    def read(self, size: int = -1) -> bytes:
        """Read, and tell."""
        data = self._file.read(size)
        self._progress.advance(size=len(data))
        return data

    def seek(self, place: int) -> int:
        """Go to a place."""
        return self._file.seek(place)


def _fetch(registry: Registry, wanted: str, blobs: Blobs, architecture: str, progress: Progress) -> Image:
    found, data = registry.manifest(wanted)
    blobs.put(data, found.media_type)
    chosen = choose(blobs, found, architecture)
    if chosen.digest != found.digest:
        chosen, data = registry.manifest(chosen.digest)
        blobs.put(data, chosen.media_type)
    config, layers, _ = read_manifest(blobs, chosen)
    missing = [each for each in (config, *layers) if not blobs.has(each)]
    progress.start("Fetching the base image", total_bytes=sum(each.size for each in missing))
    for descriptor in missing:
        blobs.take(registry.blob(descriptor), descriptor, f"{registry.reference.host}: the blob")
        progress.advance(size=descriptor.size)
    progress.finish()
    return _checked(read_image(blobs, chosen), architecture, str(registry.reference))


def _checked(image: Image, architecture: str, name: str) -> Image:
    told = (image.settings.get("os"), image.settings.get("architecture"))
    if told != ("linux", architecture):
        raise UnfitImageError(f"{name} is an image for {told[0]}/{told[1]}, and linux/{architecture} is needed")
    return image
