"""Small packages and real virtual environments, made without an index."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
import venv
import zipfile
from pathlib import Path


def make_wheel(
    folder: Path, name: str, version: str, files: dict[str, str] | None = None, *, headers: tuple[str, ...] = (),
    scripts: bool = False,
) -> Path:
    """Write a wheel with these modules, by the specification of wheels."""
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    content = {f"{module}.py": f"VERSION = {version!r}\n"} if files is None else dict(files)
    metadata = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *headers]
    content[f"{info}/METADATA"] = "\n".join(metadata) + "\n\nWhat it is.\n"
    content[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    if scripts:
        content[f"{info}/entry_points.txt"] = f"[console_scripts]\n{name} = {module}:main\n"
    rows = []
    for path, text in content.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        rows.append(f"{path},sha256={digest},{len(text.encode())}")
    content[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,"]) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in content.items():
            archive.writestr(zipfile.ZipInfo(path, (2020, 1, 1, 0, 0, 0)), text)
    return wheel


BACKEND = '''
import base64, hashlib, os, zipfile

NAME, VERSION = {name!r}, {version!r}
INFO = f"{{NAME}}-{{VERSION}}.dist-info"

def _write(folder, files):
    files = dict(files)
    files[f"{{INFO}}/METADATA"] = f"Metadata-Version: 2.1\\nName: {{NAME}}\\nVersion: {{VERSION}}\\n"
    files[f"{{INFO}}/WHEEL"] = "Wheel-Version: 1.0\\nGenerator: own\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
    rows = []
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        rows.append(f"{{path}},sha256={{digest}},{{len(text)}}")
    files[f"{{INFO}}/RECORD"] = "\\n".join([*rows, f"{{INFO}}/RECORD,,"]) + "\\n"
    wheel = f"{{NAME}}-{{VERSION}}-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, wheel), "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return wheel

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    return _write(wheel_directory, {{f"{{NAME}}.py": open(f"src/{{NAME}}.py").read()}})

def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    return _write(wheel_directory, {{f"{{NAME}}.pth": os.path.abspath("src") + "\\n"}})
'''


def make_project(folder: Path, name: str, version: str = "1.0") -> Path:
    """Write a project that pip can build and install without anything else: it has its own build backend."""
    (folder / "src").mkdir(parents=True)
    (folder / "src" / f"{name}.py").write_text(f"VERSION = {version!r}\n")
    (folder / "backend.py").write_text(BACKEND.format(name=name, version=version))
    (folder / "pyproject.toml").write_text(
        f'[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        f'[project]\nname = "{name}"\nversion = "{version}"\n'
    )
    return folder


def make_venv(folder: Path) -> Path:
    """Make a virtual environment without pip and return its interpreter."""
    venv.create(folder, with_pip=False, symlinks=True)
    return folder / "bin" / "python"


def install(python: Path, *words: str | Path, pip: bool = False) -> None:
    """Install into a virtual environment by uv, or by the pip of the tests; no index is asked."""
    if pip:
        command = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check", "install"]
    else:
        command = [str(Path(sys.executable).with_name("uv")), "pip", "install", "--python", str(python)]
        words = tuple("--reinstall" if word == "--force-reinstall" else word for word in words)
    command += ["--quiet", "--no-index", "--no-deps", "--no-build-isolation", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def git(folder: Path, *words: str) -> str:
    """Run git as somebody who never changes."""
    command = ["git", "-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-C", str(folder), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
