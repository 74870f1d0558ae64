"""Images in folders and archives: the OCI image layout, and the archives of `docker save`.

https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md; an archive of Docker has a `manifest.json`
that lists config and layers by their paths (https://github.com/moby/docker-image-spec/blob/v1.3.1/v1.2.md).
"""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from dsvc.atomic import temporary_name, write_file
from dsvc.errors import RequestError
from dsvc.images.blobs import Blobs
from dsvc.images.descriptor import (
    CONFIG,
    INDEX,
    INDEXES,
    LAYER,
    MANIFEST,
    MAX_JSON,
    BadImageError,
    Descriptor,
    UnfitImageError,
    decode_json,
    encode_json,
    read_descriptor,
)
from dsvc.images.image import Image, choose, choose_entry, read_image, read_manifest
from dsvc.images.layers import EPOCH

_NAME = "org.opencontainers.image.ref.name"
_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
_PIECE = 1 << 20


def write_layout(image: Image, blobs: Blobs, folder: Path, *, tag: str) -> None:
    """Write an OCI layout into a folder, or add the image to the one that is there; `tag` names it in the index.

    Blobs first, the index at last: a reader finds the layout as it was, or with the image.

    Raises:
        UnfitImageError: when the folder holds something else. RequestError: when it cannot be written.
    """
    entries: list[dict[str, Any]] = []
    if folder.exists():
        try:
            empty = next(os.scandir(folder), None) is None
        except OSError as error:
            raise RequestError(f"{folder} cannot be used as a folder: {error.strerror}") from error
        if not empty and not (folder / "oci-layout").exists():
            raise UnfitImageError(f"{folder} is not empty, and no OCI layout", hint="name another folder")
        if (folder / "index.json").exists():
            entries = list(decode_json(_read(folder / "index.json"), "index.json").get("manifests") or [])
    for descriptor in (*image.blobs, image.manifest):
        blobs.link(descriptor.digest, Blobs(folder))
    own = {**image.manifest.fields(), "annotations": {_NAME: tag}}
    kept = [each for each in entries if (each.get("annotations") or {}).get(_NAME) != tag]
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [*kept, own]}
    try:
        write_file(folder / "oci-layout", _LAYOUT, durable=False)
        write_file(folder / "index.json", encode_json(index), durable=False)
    except OSError as error:
        raise RequestError(f"{folder} cannot be written: {error.strerror}") from error


def write_archive(image: Image, blobs: Blobs, file: IO[bytes], *, names: Sequence[str]) -> None:
    """Write an archive that is an OCI layout and one of Docker in one, so that any engine loads it.

    `names` are those that the engine gives it, such as `churn:1`; the same image and names give the same bytes.
    """
    own = image.manifest.fields()
    if names:
        own["annotations"] = {_NAME: names[0].rpartition(":")[2]}
    docker = {
        "Config": f"blobs/sha256/{image.config.hex}",
        "RepoTags": list(names),
        "Layers": [f"blobs/sha256/{layer.hex}" for layer in image.layers],
    }
    texts = {
        "index.json": encode_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": [own]}),
        "manifest.json": encode_json([docker]),
        "oci-layout": _LAYOUT,
    }
    with tarfile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT, bufsize=_PIECE) as archive:
        for digest in sorted({each.digest for each in (*image.blobs, image.manifest)}):
            place = blobs.path(digest)
            info = _info(f"blobs/sha256/{digest.partition(':')[2]}", place.stat().st_size)
            with open(place, "rb") as content:
                archive.addfile(info, content)
        for name, data in texts.items():
            archive.addfile(_info(name, len(data)), io.BytesIO(data))


def write_archive_file(image: Image, blobs: Blobs, path: Path, *, names: Sequence[str]) -> None:
    """Write such an archive as a file, which is there whole or not at all.

    Raises:
        RequestError: when it cannot be written.
    """
    part = path.with_name(temporary_name(path.name))
    try:
        with open(part, "wb") as file:
            write_archive(image, blobs, file, names=names)
        part.replace(path)
    except OSError as error:
        raise RequestError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            part.unlink()


def read_layout(folder: Path, blobs: Blobs, architecture: str, *, tag: str = "") -> Image:
    """Copy the image of an OCI layout into a folder of blobs, each checked, and return it.

    Without a `tag` it is the only one there for the architecture.

    Raises:
        UnfitImageError: when there is none. BadImageError: when it is damaged.
    """
    source = Blobs(folder)
    entries = decode_json(_read(folder / "index.json"), f"{folder}/index.json").get("manifests") or []
    if tag:
        entries = [each for each in entries if (each.get("annotations") or {}).get(_NAME) == tag]
        if not entries:
            raise UnfitImageError(f"{folder} has no image with the tag {tag}")
    elif len({each.get("digest") for each in entries if "platform" not in each}) > 1:
        raise UnfitImageError(f"{folder} holds several images", hint=f"{folder}:TAG names one")
    chosen = choose_entry(entries, architecture, os.fspath(folder))
    if chosen.media_type in INDEXES:
        chosen = choose(source, chosen, architecture)
    config, layers, _ = read_manifest(source, chosen)
    for descriptor in (chosen, config, *layers):
        if not blobs.has(descriptor):
            blobs.take(_pieces(source.path(descriptor.digest)), descriptor, f"{folder}: the blob")
    return read_image(blobs, chosen)


def read_archive(path: Path, blobs: Blobs, architecture: str) -> Image:
    """Copy the image of an archive, an OCI layout in a tar file or what `docker save` writes, into a folder of blobs.

    Raises:
        UnfitImageError: when it holds no image, or several. BadImageError: when it is damaged.
    """
    import tempfile

    try:
        with tempfile.TemporaryDirectory(dir=blobs.folder) as scratch, tarfile.open(path, "r:*") as archive:
            folder = Path(scratch)
            for info in archive:
                name = os.path.normpath(info.name)
                if info.isfile() and not name.startswith(("/", "..")):
                    place = folder / name
                    place.parent.mkdir(parents=True, exist_ok=True)
                    _extract(archive, info, place)
                elif info.issym() and name.endswith("layer.tar"):  # older engines write a layer once
                    place = folder / name
                    target = os.path.normpath(os.path.join(os.path.dirname(name), info.linkname))
                    if not target.startswith(("/", "..")):
                        place.parent.mkdir(parents=True, exist_ok=True)
                        place.symlink_to(folder / target)
            if (folder / "oci-layout").exists() and (folder / "index.json").exists():
                return read_layout(folder, blobs, architecture)
            if (folder / "manifest.json").exists():
                return _of_docker(folder, blobs, path)
    except (tarfile.TarError, EOFError) as error:
        raise BadImageError(f"{path} is no archive of an image, or damaged: {error}") from error
    except OSError as error:
        raise RequestError(f"{path} cannot be read: {error.strerror or error}") from error
    raise UnfitImageError(
        f"{path} is an archive, and none of an image", hint="docker save IMAGE -o FILE, or skopeo copy, makes one"
    )


def _of_docker(folder: Path, blobs: Blobs, path: Path) -> Image:
    try:
        (told,) = json.loads(_read(folder / "manifest.json"))
        config_path, layer_paths = str(told["Config"]), [str(each) for each in told["Layers"]]
    except (ValueError, KeyError, TypeError) as error:
        raise UnfitImageError(f"{path} does not hold exactly one image") from error
    config = blobs.put(_read(folder / os.path.normpath(config_path)), CONFIG)
    layers = []
    for each in layer_paths:
        place = folder / os.path.normpath(each)
        if not place.resolve().is_relative_to(folder.resolve()):
            raise BadImageError(f"{path} names a layer outside of itself")
        layers.append(_take_layer(place, blobs))
    document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config.fields()}
    manifest = blobs.put(encode_json({**document, "layers": [each.fields() for each in layers]}), MANIFEST)
    return read_image(blobs, manifest)


def _take_layer(place: Path, blobs: Blobs) -> Descriptor:
    import hashlib

    digest = hashlib.sha256()
    with blobs.unfinished() as (file, finish):
        size = 0
        for piece in _pieces(place):
            if not size and piece[:2] == b"\x1f\x8b":
                raise UnfitImageError("a layer in an archive of Docker is compressed, which engines never write")
            digest.update(piece)
            size += file.write(piece)
        finish(f"sha256:{digest.hexdigest()}")
    return Descriptor(LAYER, f"sha256:{digest.hexdigest()}", size)


def _extract(archive: tarfile.TarFile, info: tarfile.TarInfo, place: Path) -> None:
    content = archive.extractfile(info)
    assert content is not None
    with open(place, "wb") as file:
        while piece := content.read(_PIECE):
            file.write(piece)


def _pieces(path: Path) -> Iterator[bytes]:
    try:
        with open(path, "rb") as file:
            while piece := file.read(_PIECE):
                yield piece
    except OSError as error:
        raise BadImageError(f"{path} is not there, or cannot be read: {error.strerror}") from error


def _read(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_JSON + 1)
    except OSError as error:
        raise UnfitImageError(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > MAX_JSON:
        raise BadImageError(f"{path} is larger than any manifest may be")
    return data


def _info(name: str, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = size, 0o644, EPOCH
    return info


__all__ = ["read_archive", "read_descriptor", "read_layout", "write_archive", "write_archive_file", "write_layout"]
