"""The system below the interpreter: libraries, Debian's packages, conda's, the container, the machine."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from dsvc.environments import Container, SystemPackage
from dsvc.environments.conda import conda_packages
from dsvc.environments.debian import owners
from dsvc.environments.elf import read_elf
from dsvc.environments.interpreter import ask
from dsvc.environments.libraries import loaded_libraries, read_linker_cache
from dsvc.environments.machine import find_container, find_machine, system_release
from dsvc.environments.survey import survey

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="shared objects are ELF files on Linux")
DPKG = pytest.mark.skipif(shutil.which("dpkg") is None, reason="there is no dpkg here")


def modules() -> list[str]:
    folder = Path(sysconfig.get_path("stdlib")) / "lib-dynload"
    return sorted(str(path) for path in folder.glob("*.so"))


def by_ldd(path: str) -> set[str]:
    said = subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout
    return {os.path.realpath(found) for found in re.findall(r"=> (/\S+)", said)}


@LINUX
@pytest.mark.skipif(shutil.which("ldd") is None, reason="there is no ldd here")
def test_the_libraries_are_those_that_the_linker_finds():
    linker = read_linker_cache()
    wanted = set().union(*map(by_ldd, modules()))
    assert set(loaded_libraries(modules(), linker, inside=())) - {"/usr/lib64/ld-linux-x86-64.so.2"} >= wanted
    loader = {path for path in loaded_libraries(modules(), linker, inside=()) if "/ld-linux" in path}
    assert set(loaded_libraries(modules(), linker, inside=())) - loader == wanted - loader


@LINUX
def test_what_is_no_elf_file_asks_for_nothing(tmp_path):
    whole = Path(modules()[0]).read_bytes()
    for number, data in enumerate([b"", b"\x7fELF", whole[:64], whole[:300], b"\x7fELF" + b"\xff" * 200]):
        path = tmp_path / f"{number}.so"
        path.write_bytes(data)
        elf = read_elf(str(path))
        assert elf is None or elf.needed == ()
    assert loaded_libraries([str(tmp_path / "0.so"), str(tmp_path / "gone.so")], read_linker_cache(), inside=()) == []


@DPKG
def test_the_owners_of_libraries_are_those_that_dpkg_names():
    libraries = loaded_libraries(modules(), read_linker_cache(), inside=())
    found = owners(libraries)
    assert found
    for path, package in found.items():
        names = [path, path.removeprefix("/usr")]
        said = subprocess.run(["dpkg", "-S", *names], capture_output=True, text=True, check=False).stdout
        assert re.search(rf"^{re.escape(package.name)}(:\w+)?: ", said, re.MULTILINE), (path, package)
        version = subprocess.run(
            ["dpkg-query", "-W", "-f", "${Version}", f"{package.name}:{package.architecture}"],
            capture_output=True, text=True, check=False,
        ).stdout  # fmt: skip
        assert version in ("", package.version)


def test_packages_of_a_system_in_a_folder(tmp_path):
    admin = tmp_path / "dpkg"
    (admin / "info").mkdir(parents=True)
    (admin / "status").write_text(
        "Package: libone1\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.0-1\n"
        "Description: first\n more\n\n"
        "Package: libone1\nArchitecture: i386\nVersion: 1.0-1+b1\n\n"
        "Package: other\nArchitecture: all\nVersion: 3\n"
    )
    (admin / "info" / "libone1:amd64.list").write_text("/.\n/lib\n/lib/libone.so.1\n")
    (admin / "info" / "libone1:i386.list").write_text("/usr/lib/i386/libone.so.1\n")
    (admin / "info" / "other.list").write_bytes(b"/usr/share/doc\n\xff\n")
    found = owners(["/usr/lib/libone.so.1", "/usr/lib/i386/libone.so.1", "/opt/own.so"], str(admin))
    assert found == {
        "/usr/lib/libone.so.1": SystemPackage("libone1", "1.0-1", "amd64"),
        "/usr/lib/i386/libone.so.1": SystemPackage("libone1", "1.0-1+b1", "i386"),
    }
    assert owners(["/usr/lib/libone.so.1"], str(tmp_path / "none")) == {}


@DPKG
@LINUX
def test_an_environment_names_the_package_of_libc(locked, python):
    system = locked(python).environment.system
    libc = next(one for one in system.packages if one.name.startswith("libc6"))
    assert system.libc == f"glibc {libc.version.partition('-')[0]}"


@LINUX
def test_a_library_that_no_package_owns_is_named_by_its_content(locked, python, tmp_path):
    """A module whose RUNPATH leads to a folder of its own, made with the compiler that is there."""
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc")
    own = tmp_path / "own"
    own.mkdir()
    (own / "own.c").write_text("int own(void) { return 1; }\n")
    (own / "module.c").write_text("int own(void); int module(void) { return own(); }\n")
    subprocess.run(["gcc", "-shared", "-o", own / "libown.so.2", own / "own.c", "-Wl,-soname,libown.so.2"], check=True)
    (site,) = (tmp_path / "venv").glob("lib/*/site-packages")
    module = site / "module.so"
    command = ["gcc", "-shared", "-o", module, own / "module.c", own / "libown.so.2", f"-Wl,-rpath,{own}"]
    subprocess.run(command, check=True)
    record = site / "rentals-2.0.dist-info" / "RECORD"
    record.write_text(record.read_text() + "module.so,,\n")
    environment = locked(python, fresh=True).environment
    digits = subprocess.run(["b3sum", own / "libown.so.2"], capture_output=True, text=True, check=False).stdout[:64] \
        if shutil.which("b3sum") else environment.system.libraries["libown.so.2"].hex()
    assert {name: id_.hex() for name, id_ in environment.system.libraries.items()} == {"libown.so.2": digits}


# Conda: the folder conda-meta, with the fields that conda's documents give a record of an installed package.

NUMPY = {
    "build": "py312h1234567_0", "build_number": 0, "channel": "https://example.org/t/secret/conda-forge/linux-64",
    "constrains": [], "depends": ["libblas >=3.9.0,<4.0a0", "python >=3.12,<3.13.0a0"],
    "extracted_package_dir": "/opt/conda/pkgs/numpy-2.2.3-py312h1234567_0", "files": ["bin/f2py"],
    "fn": "numpy-2.2.3-py312h1234567_0.conda", "license": "BSD-3-Clause",
    "link": {"source": "/opt/conda/pkgs/numpy-2.2.3-py312h1234567_0", "type": 1}, "md5": "1" * 32, "name": "numpy",
    "package_tarball_full_path": "/opt/conda/pkgs/numpy-2.2.3-py312h1234567_0.conda", "paths_data": {"paths": []},
    "requested_spec": "numpy=2.2", "sha256": "2" * 64, "size": 8490501, "subdir": "linux-64",
    "timestamp": 1739500000000,
    "url": "https://ada:pw@example.org/t/secret/conda-forge/linux-64/numpy-2.2.3-py312h1234567_0.conda",
    "version": "2.2.3",
}  # fmt: skip


def test_conda_packages(locked, python, tmp_path):
    folder = tmp_path / "venv" / "conda-meta"
    folder.mkdir()
    (folder / "history").write_text("==> 2026-01-01 <==\n")
    (folder / "numpy-2.2.3-py312h1234567_0.json").write_text(json.dumps(NUMPY))
    (folder / "broken-1.0-0.json").write_text("{")
    (folder / "empty-1.0-0.json").write_text("{}")
    environment = locked(python, fresh=True).environment
    (one,) = environment.conda
    assert (one.name, one.version, one.build) == ("numpy", "2.2.3", "py312h1234567_0")
    assert (one.channel, one.subdir) == ("https://example.org/conda-forge", "linux-64")
    assert one.hashes == {"md5": "1" * 32, "sha256": "2" * 64}
    assert one.url == "https://example.org/conda-forge/linux-64/numpy-2.2.3-py312h1234567_0.conda"
    assert environment.notes == (
        "conda-meta/broken-1.0-0.json cannot be read (JSONDecodeError)",
        "conda-meta/empty-1.0-0.json cannot be read (KeyError)",
    )
    assert conda_packages(str(tmp_path / "none")) == ((), [])


# Containers and machines, by the files that stand for them.


@pytest.mark.parametrize(
    ("files", "variables", "container"),
    [
        ({}, {}, None),
        ({".dockerenv": ""}, {}, Container("docker")),
        ({".dockerenv": ""}, {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, Container("kubernetes")),
        (
            {".dockerenv": ""},
            {"DSVC_CONTAINER_IMAGE": "train:1@sha256:" + "a" * 64},
            Container("docker", "train:1", "sha256:" + "a" * 64),
        ),
        ({"run/.containerenv": ""}, {}, Container("podman")),
        (
            {"run/.containerenv": 'engine="podman-4.3"\nimage="localhost/train:1"\nimageid="b0b"\n'},
            {},
            Container("podman", "localhost/train:1"),
        ),
        ({}, {"APPTAINER_CONTAINER": "/images/train.sif"}, Container("apptainer", "train.sif")),
        ({}, {"container": "lxc"}, Container("lxc")),
        ({}, {"DSVC_CONTAINER_IMAGE": "train:2"}, Container("container", "train:2")),
    ],
)
def test_containers(tmp_path, files, variables, container):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert find_container(variables, str(tmp_path)) == container


def test_a_machine_with_a_gpu(tmp_path):
    for name, text in {
        "proc/cpuinfo": "processor\t: 0\nmodel name\t: A  Fast CPU\n\nprocessor\t: 1\nmodel name\t: A  Fast CPU\n",
        "proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14  Thu Feb 22\n"
        "GCC version: gcc version 12.2.0\n",
        "proc/driver/nvidia/gpus/0000:01:00.0/information": "Model: \t\t A Large GPU\nIRQ:   \t\t 33\n",
        "etc/os-release": 'PRETTY_NAME="A System"\nID=debian\nVERSION_ID="12"\n',
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    machine = find_machine(str(tmp_path))
    assert (machine.cpu, machine.gpus, machine.driver) == ("A Fast CPU", ("A Large GPU",), "nvidia 550.54.14")
    assert machine.kernel == f"{os.uname().sysname} {os.uname().release}"
    assert system_release(str(tmp_path)) == "debian 12"
    assert system_release(str(tmp_path / "none")) == ""


@LINUX
def test_nothing_of_a_survey_depends_on_where_the_virtual_environment_is(python, tmp_path):
    answer = ask(python, {"PATH": os.environ["PATH"]})
    found = survey(answer, None)
    assert str(tmp_path / "venv") not in repr(found.environment)
