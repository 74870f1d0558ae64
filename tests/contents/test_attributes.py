from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from dsvc.contents.attributes import Attributes, attributes_on_disk
from dsvc.contents.drivers import chosen

ROOT = b"""# how files are read
*.csv diff=table key=id merge=table
*.ipynb -merge
/data/*.csv key=a,b
"with space.csv" !key
big.* binary
!*.csv key=never
[attr]own diff
deep/**/x.txt diff=params
"""
NEARER = b"*.csv -diff\nsub.csv key=c\n"
PATHS = ("a.csv", "data/b.csv", "data/sub.csv", "with space.csv", "n.ipynb", "big.csv", "deep/er/x.txt", "plain.txt")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    for name in (".dsvcattributes", ".gitattributes"):
        (tmp_path / name).write_bytes(ROOT)
        (tmp_path / "data" / name).write_bytes(NEARER)
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    return tmp_path


def by_git(folder: Path, path: str) -> dict[str, str | bool]:
    command = ["git", "-C", folder, "check-attr", "-z", "diff", "merge", "key", "--", path]
    words = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\0")
    found: dict[str, str | bool] = {}
    for name, value in zip(words[1::3], words[2::3], strict=False):
        if value != "unspecified":
            found[name] = {"set": True, "unset": False}.get(value, value)
    return found


@pytest.mark.parametrize("path", PATHS)
def test_means_what_git_says(folder: Path, path: str) -> None:
    root = os.fsencode(folder)
    ours = dict(attributes_on_disk(lambda inner: root + b"/" + inner).of(path.encode()))
    ours.pop("binary", None)
    assert ours == by_git(folder, path)


def test_names_of_drivers() -> None:
    def said(text: bytes, path: bytes = b"f.txt") -> str | None:
        attributes = Attributes(lambda directory: b"" if directory else text)
        return chosen(path, attributes.of(path), "diff")

    assert said(b"") is None
    assert said(b"", b"x/F.IPYNB") == "notebook"
    assert said(b"*.txt diff=jupyternotebook") == "notebook"
    assert said(b"*.txt diff=table") == "table"
    assert said(b"*.txt -diff") == "binary"
    assert said(b"*.ipynb diff", b"f.ipynb") == "text"
    assert said(b"*.ipynb diff=cpp", b"f.ipynb") == "text"  # a name that is git's own
    assert said(b"* \xff=1 =x - !", b"f.ipynb") == "notebook"
    assert said(b"", b".json") is None
