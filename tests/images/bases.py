"""A base image made of the Python that runs the tests: no registry has to be reached for one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from dsvc.images.blobs import Blobs
from dsvc.images.descriptor import CONFIG, LAYER, MANIFEST, Descriptor, encode_json
from dsvc.images.image import Image, architecture_of
from dsvc.images.layers import Member, file_member, write_layer
from dsvc.images.layout import write_layout

LEFT_OUT = {"__pycache__", "site-packages", "dist-packages", "test", "tests", "idlelib", "tkinter", "ensurepip",
            "lib2to3", "turtledemo", "pydoc_data", "distutils"}  # fmt: skip
MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"


def put_base(blobs: Blobs, members: Iterator[Member] | list[Member], *, architecture: str = "") -> Image:
    """Keep an image of one layer without anything around it."""
    layer = write_layer(blobs, members)
    settings = {
        "architecture": architecture or architecture_of(os.uname().machine),
        "os": "linux",
        "config": {"Env": ["PATH=/usr/local/bin:/usr/bin:/bin"], "Labels": {"below": "yes"}},
        "rootfs": {"type": "layers", "diff_ids": [layer.digest]},
    }
    config = blobs.put(encode_json(settings), CONFIG)
    fields = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config.fields(), "layers": [layer.fields()]}
    return Image(blobs.put(encode_json(fields), MANIFEST), config, (layer,), settings)


def write_base(folder: Path, members: Iterator[Member] | list[Member], *, architecture: str = "") -> Path:
    """Write a layout with such an image."""
    blobs = Blobs(folder.with_name(folder.name + "-blobs"))
    write_layout(put_base(blobs, members, architecture=architecture), blobs, folder, tag="base")
    return folder


def tiny_members() -> list[Member]:
    """The files of an image in which nothing runs, but there is a Python by name."""
    return [Member(f"usr/local/bin/python{MINOR}", link="python")]


def python_members() -> Iterator[Member]:
    """The interpreter, its standard library without what no server needs, and the shared objects that these load."""
    program = os.path.realpath(sys._base_executable)
    name = f"python{MINOR}"
    yield file_member(program[1:], program)
    if os.path.basename(program) != name:
        yield Member(f"{os.path.dirname(program)[1:]}/{name}", link=program)
    objects = [program]
    tops = {sysconfig.get_path(which).replace(sys.prefix, sys.base_prefix) for which in ("stdlib", "platstdlib")}
    for top in sorted(tops):
        for folder, folders, files in os.walk(top):
            folders[:] = [each for each in folders if each not in LEFT_OUT and not each.startswith("config-")]
            for each in files:
                place = os.path.join(folder, each)
                if each.endswith((".pyc", ".a")) or not os.path.exists(place):
                    continue
                yield file_member(os.path.realpath(folder)[1:] + "/" + each, place)
                if each.endswith(".so"):
                    objects.append(place)
    more = [str(path) for path in _libraries() if path.exists()]
    told = subprocess.run(["ldd", *objects, *more], capture_output=True, text=True, check=False).stdout
    for library in sorted({*more, *re.findall(r"(/\S+\.so[.\d]*)", told)}):
        place = os.path.realpath(os.path.dirname(library)) + "/" + os.path.basename(library)
        yield file_member(place[1:], library, executable=True)
    for folder in ("lib", "lib64", "bin"):
        if os.path.islink(f"/{folder}"):
            yield Member(folder, link=os.readlink(f"/{folder}"))
    yield Member("tmp")


def _libraries() -> list[Path]:
    """Shared objects that extension modules of packages load."""
    names = ("libstdc++.so.6", "libgcc_s.so.1", "libpthread.so.0", "libdl.so.2", "librt.so.1", "libutil.so.1")
    return [Path(f"/usr/lib/{os.uname().machine}-linux-gnu/{name}") for name in names]


__all__ = ["LAYER", "Descriptor", "put_base", "python_members", "tiny_members", "write_base"]
