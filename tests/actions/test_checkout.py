"""What a checkout carries along: changes that are stored and not committed."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from dsvc.commands.entry import run


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("top", "d/x", "e/deep/x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    dsvc(tmp_path, "init")
    dsvc(tmp_path, "commit", "-m", "all")
    dsvc(tmp_path, "switch", "-c", "small")
    dsvc(tmp_path, "rm", "-r", "d", "e")
    dsvc(tmp_path, "commit", "-m", "small")
    dsvc(tmp_path, "switch", "main")
    return tmp_path


def dsvc(folder: Path, *words: str) -> str:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "DSVC_USER_NAME": "Ada",
        "DSVC_USER_EMAIL": "ada@example.com",
    }
    streams = {name: io.BytesIO() for name in ("stdin", "stdout", "stderr")}
    code = run(words, environment, directory=folder, **streams)
    assert code == 0, streams["stderr"].getvalue()
    return streams["stdout"].getvalue().decode()


def test_an_added_empty_file_keeps_its_folder(project: Path) -> None:
    (project / "d" / "__init__.py").write_text("")
    dsvc(project, "add", "d/__init__.py")
    dsvc(project, "switch", "small")
    assert (project / "d" / "__init__.py").exists()
    assert not (project / "d" / "x").exists()
    assert dsvc(project, "status", "-s") == "A  d/__init__.py\n"


def test_folders_that_are_empty_by_a_switch_go_all_the_way_up(project: Path) -> None:
    (project / "new").write_text("")
    dsvc(project, "add", "new")
    dsvc(project, "switch", "small")
    assert not (project / "e").exists()
    assert dsvc(project, "status", "-s") == "A  new\n"
    dsvc(project, "switch", "main")
    assert (project / "e" / "deep" / "x").read_text() == "e/deep/x"
    assert dsvc(project, "status", "-s") == "A  new\n"
