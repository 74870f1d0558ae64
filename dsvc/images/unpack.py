"""Unpack an image into a folder: its layers from the lowest up, with what the upper ones remove.

https://github.com/opencontainers/image-spec/blob/v1.1.0/layer.md#whiteouts
"""

from __future__ import annotations

import os
import shutil
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path

from dsvc.atomic import temporary_name
from dsvc.errors import RequestError
from dsvc.images.blobs import Blobs
from dsvc.images.descriptor import BadImageError
from dsvc.images.image import Image
from dsvc.images.layers import walk_layer

_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"


def unpack(image: Image, blobs: Blobs, folder: Path) -> bool:
    """Write the files of an image into a new folder, and say whether that had to be done.

    A folder that is there already is whole, and is left alone. Owners and devices are not kept: files belong to whoever
    unpacks them, and can be read by everybody as far as the image says.

    Raises:
        BadImageError: when a layer is damaged, or leads out of the folder. RequestError: when it cannot be written.
    """
    if folder.is_dir():
        return False
    part = folder.with_name(temporary_name(folder.name))
    try:
        part.mkdir(parents=True)
        for layer in image.layers:
            blobs.check(layer, "the layer")
            for info, archive in walk_layer(blobs.path(layer.digest), layer.media_type):
                _unpack(part, info, archive)
        part.replace(folder)
    except OSError as error:
        raise RequestError(f"{error.filename or folder} cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True, onerror=_writable)
    return True


def remove_unpacked(folder: Path) -> None:
    """Remove such a folder."""
    gone = folder.with_name(temporary_name(folder.name))
    if folder.is_dir():
        folder.rename(gone)
        shutil.rmtree(gone, onerror=_writable)


def _unpack(root: Path, info: tarfile.TarInfo, archive: tarfile.TarFile) -> None:
    name = os.path.normpath(info.name.lstrip("/"))
    if name == ".":
        return
    if name.startswith(".."):
        raise BadImageError(f"a layer has the path {info.name!r}, which leads out of the image")
    parent = _inside(root, os.path.dirname(name))
    base = os.path.basename(name)
    if base == _OPAQUE:
        for each in os.listdir(parent):
            _clear(os.path.join(parent, each))
        return
    if base.startswith(_WHITEOUT):
        _clear(os.path.join(parent, base.removeprefix(_WHITEOUT)))
        return
    place = os.path.join(parent, base)
    if info.isdir():
        if not os.path.isdir(place) or os.path.islink(place):
            _clear(place)
            os.mkdir(place)
        os.chmod(place, (info.mode & 0o777) | stat.S_IRWXU)
        return
    if info.issym():
        _clear(place)
        os.symlink(info.linkname, place)
    elif info.islnk():
        target = os.path.normpath(info.linkname.lstrip("/"))
        source = os.path.join(_inside(root, os.path.dirname(target)), os.path.basename(target))
        _clear(place)
        os.link(source, place, follow_symlinks=False)
    elif info.isfile():
        content = archive.extractfile(info)
        assert content is not None
        _clear(place)
        with open(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as file:
            shutil.copyfileobj(content, file, 1 << 20)
        os.chmod(place, info.mode & 0o777)


def _inside(root: Path, folder: str) -> str:
    """Return where a folder of the image lies, made if needed; links are followed as in the image, never out of it."""
    here, left, steps = os.fspath(root), [part for part in folder.split("/") if part], 0
    top = here
    while left:
        part = left.pop(0)
        if part == "..":
            here = os.path.dirname(here) if here != top else top
            continue
        place = os.path.join(here, part)
        if os.path.islink(place):
            steps += 1
            if steps > 40:
                raise BadImageError(f"links in the image lead round in a circle at {folder!r}")
            target = os.readlink(place)
            here = top if target.startswith("/") else here
            left = [each for each in target.split("/") if each not in ("", ".")] + left
            continue
        if not os.path.isdir(place):
            _clear(place)
            os.mkdir(place)
        here = place
    return here


def _clear(place: str) -> None:
    if os.path.isdir(place) and not os.path.islink(place):
        shutil.rmtree(place, onerror=_writable)
    elif os.path.lexists(place):
        os.unlink(place)


def _writable(remove: Callable[[str], object], path: str, _error: object) -> None:
    """Try again to remove what a folder without the right to write holds."""
    if os.path.lexists(path):
        os.chmod(os.path.dirname(path), stat.S_IRWXU)
        remove(path)
