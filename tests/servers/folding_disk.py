"""A disk that does not tell upper from lower case, as most Macs have.

The fixture `folding_disk` gives a test an empty folder on one: ext4 or vfat in a file, where this machine can mount
them, or else a folder mounted by FUSE that shows another one and folds the forms of Unicode, too:

    python -m tests.servers.folding_disk FOLDER MOUNT

A name keeps the form in which it was made. Ends when unmounted.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsvc.worktree.names import tells_names_apart
from tests.servers.fuse_disk import PassedOn, served


@pytest.fixture
def folding_disk(tmp_path: Path) -> Iterator[Path]:
    image, place = tmp_path / "disk.img", tmp_path / "disk"
    place.mkdir()
    attempts = [
        (["mkfs.ext4", "-q", "-O", "casefold", "-E", "encoding=utf8"], []),
        (["mkfs.vfat"], ["-o", "utf8"]),
    ]
    for make, options in attempts:
        if shutil.which(make[0]) is None or shutil.which("mount") is None:
            continue
        image.write_bytes(b"")
        with image.open("r+b") as file:
            file.truncate(16 << 20)
        if subprocess.run([*make, str(image)], check=False, capture_output=True).returncode:
            continue
        mounted = subprocess.run(
            ["mount", "-o", "loop", *options, str(image), str(place)], check=False, capture_output=True
        )
        if mounted.returncode:
            continue
        try:
            work = place / "work"
            work.mkdir()
            subprocess.run(["chattr", "+F", str(work)], check=False, capture_output=True)
            if not tells_names_apart(work):
                yield work
                return
        finally:
            subprocess.run(["umount", str(place)], check=False)
    pytest.importorskip("mfusepy", reason="no disk that folds names can be made without mfusepy", exc_type=ImportError)
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("no disk that folds names can be made here (needs ext4 with casefold, vfat or FUSE)")
    (tmp_path / "folder").mkdir()
    with served("tests.servers.folding_disk", place, tmp_path / "folder", place):
        yield place


def fold(name: str) -> str:
    """What two names have in common that are one to this disk."""
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())


def main() -> None:
    """Serve until unmounted."""
    import mfusepy

    folder, mount = sys.argv[1:]

    class Disk(PassedOn, mfusepy.Operations):
        def place(self, path: str) -> str:
            """Go by the names that are there, for the rest as it is written."""
            at = self.folder
            for name in path.strip("/").split("/"):
                written = os.path.join(at, name)
                others = os.listdir(at) if not os.path.lexists(written) and os.path.isdir(at) else []
                at = next((os.path.join(at, other) for other in others if fold(other) == fold(name)), written)
            return at

        def symlink(self, target: str, source: str) -> int:
            os.symlink(source, self.place(target))
            return 0

        def readlink(self, path: str) -> str:
            return os.readlink(self.place(path))

        def rename(self, old: str, new: str) -> int:
            goal = self.place(new)
            if os.path.lexists(goal) and os.path.samefile(goal, self.place(old)):  # another form of the same name
                goal = os.path.join(os.path.dirname(goal), os.path.basename(new))
            os.rename(self.place(old), goal)
            return 0

    timeouts = {"attr_timeout": 0, "entry_timeout": 0, "negative_timeout": 0}
    mfusepy.FUSE(Disk(folder), mount, foreground=True, nothreads=True, use_ino=True, fsname="folding", **timeouts)


if __name__ == "__main__":
    main()
