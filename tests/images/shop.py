"""Bases, and a project with a model whose run recorded a small environment."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.commands.conftest import CommandLine, command_line
from tests.environments.wheels import install, make_venv, make_wheel
from tests.images.bases import python_members, tiny_members, write_base

__all__ = ["packages", "python_base", "shop", "tiny_base", "trained"]


@dataclass(frozen=True)
class Shop:
    """A repository with the model `churn`: version 1, made in the virtual environment `venv` with two packages."""

    cli: CommandLine
    wheels: Path
    venv: Path
    base: Path

    def forget(self) -> None:
        """Remove all that was built."""
        shutil.rmtree(self.cli.directory / ".dsvc" / "cache" / "images")

    def train(self, word: str) -> str:
        """Make the next version, commit it, and return the run's key."""
        python = str(self.venv / "bin" / "python")
        words = ("-i", "visits.csv", "-p", f"word={word}", "--", python, "train.py", word)
        run: str = self.cli.ok("run", "--json", *words).json["run"]
        self.cli.ok("commit", "-q", "-m", f"trained {word}")
        self.cli.ok("model", "add", "churn", "model")
        return run


TRAIN = '''
import os, sys
os.makedirs("model", exist_ok=True)
open("model/weights.json", "w").write(open("visits.csv").read() + sys.argv[1])
open("model/predictor.py", "w").write("""
import left_pad

def predict(rows: list[dict]) -> list[float]:
    return [row["x"] * float(left_pad.VERSION) * 2 for row in rows]
""")
'''


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder of wheels, and a virtual environment in which they are installed."""
    folder = tmp_path_factory.mktemp("packages")
    make_wheel(folder / "wheels", "left-pad", "1.0", scripts=True)
    make_wheel(folder / "wheels", "rentals", "2.0", {"rentals/__init__.py": "", "rentals/data.txt": "data"})
    install(make_venv(folder / "venv"), *sorted((folder / "wheels").iterdir()))
    return folder / "wheels", folder / "venv"


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An OCI layout with one image in which there is a Python by name alone."""
    return write_base(tmp_path_factory.mktemp("tiny") / "base", tiny_members())


@pytest.fixture(scope="session")
def python_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An OCI layout with an image in which the Python of the tests runs."""
    return write_base(tmp_path_factory.mktemp("python") / "base", python_members())


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, packages: tuple[Path, Path], tiny_base: Path) -> Path:
    """A folder with such a project, to be copied; its layers are made."""
    top = tmp_path_factory.mktemp("trained")
    line = command_line(top)
    line.ok("init", "-q")
    (line.directory / "visits.csv").write_text("1,2\n")
    (line.directory / "train.py").write_text(TRAIN)
    line.ok("commit", "-q", "-m", "data and code")
    made = Shop(line, *packages, tiny_base)
    made.train("a")
    line.environment["VIRTUAL_ENV"] = str(packages[1])
    line.ok("build", "-q", "churn", "--base", str(tiny_base))
    return line.directory


@pytest.fixture
def shop(tmp_path: Path, trained: Path, packages: tuple[Path, Path], tiny_base: Path) -> Shop:
    """The project, in a copy that a test may change."""
    cli = command_line(tmp_path)
    images = shutil.ignore_patterns("images")
    shutil.copytree(trained, cli.directory, dirs_exist_ok=True, symlinks=True, ignore=images)
    made = Path(".dsvc", "cache", "images")
    shutil.copytree(trained / made, cli.directory / made, copy_function=os.link)
    cli.environment["VIRTUAL_ENV"] = str(packages[1])
    cli.environment["PATH"] = f"{Path(sys.executable).parent}:{cli.environment['PATH']}"  # uv is there
    return Shop(cli, *packages, tiny_base)
