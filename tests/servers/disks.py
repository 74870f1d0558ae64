"""Real disks that clone files: XFS and btrfs in files, mounted once a test process.

The fixture `cloning_disk` gives a test an empty folder on one of them. It skips with its reason where the programs or
the right to mount are missing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

SYSTEMS = {"xfs": 400 << 20, "btrfs": 400 << 20}  # bytes; nearly all of them are a hole in the file


@pytest.fixture(scope="session")
def cloning_disks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Path]]:
    """Mount a disk of a kind when it is first asked for."""
    folder = tmp_path_factory.mktemp("disks")
    mounted: dict[str, Path] = {}

    def disk(system: str) -> Path:
        if system not in mounted:
            mounted[system] = _mount(folder, system)
        return mounted[system]

    try:
        yield disk
    finally:
        for place in mounted.values():
            subprocess.run(["umount", str(place)], check=True)


def _mount(folder: Path, system: str) -> Path:
    make = shutil.which(f"mkfs.{system}", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if make is None:
        pytest.skip(f"mkfs.{system} is not installed")
    if os.geteuid() != 0:
        pytest.skip("needs the right to mount")
    image, place = folder / f"{system}.img", folder / system
    place.mkdir(exist_ok=True)
    with image.open("wb") as file:
        file.truncate(SYSTEMS[system])
    subprocess.run([make, "-q", str(image)], check=True, capture_output=True)
    done = subprocess.run(["mount", "-o", "loop", str(image), str(place)], check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no image of {system} can be mounted here: {done.stderr.strip()}")
    return place


@pytest.fixture
def cloning_disk(request: pytest.FixtureRequest, cloning_disks: Callable[[str], Path]) -> Iterator[Path]:
    """An empty folder on a disk that clones files; parametrize it with `indirect` to have btrfs, too."""
    folder = cloning_disks(getattr(request, "param", "xfs")) / f"{request.node.name}"[:60]
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
