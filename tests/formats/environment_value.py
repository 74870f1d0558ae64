"""The two environments of docs/formats/environment.md."""

from dsvc.environments import (
    CondaPackage,
    Container,
    Distribution,
    Environment,
    Machine,
    Python,
    Source,
    System,
    SystemPackage,
)
from dsvc.objects.ids import FileId, ObjectId


def file_id(byte: str) -> FileId:
    return FileId(ObjectId(bytes.fromhex(byte * 32)))


SMALL = Environment(
    python=Python("cpython", "3.12.1", "3.12.1 (main)", ("cp312", "cp312", "linux_x86_64")),
    distributions=(Distribution("six", "1.17.0", contents=file_id("11"), installer="pip"),),
    system=System("linux", "x86_64"),
    machine=Machine("Linux 6.1.0"),
)

FULL = Environment(
    python=Python("cpython", "3.12.1", "3.12.1 (main) [GCC 12.2.0]", ("cp312", "cp312", "linux_x86_64")),
    distributions=(
        Distribution(
            "features",
            "0.3",
            installer="pip",
            source=Source(
                "editable",
                url="file:///srv/features",
                vcs="git",
                commit="22" * 20,
                remote="ssh://git@example.org/features",
                changed=True,
                patch=file_id("33"),
            ),
        ),
        Distribution("model", "1.0", requires=("numpy", "six"), source=Source("editable", path="src")),
        Distribution(
            "numpy",
            "2.2.3",
            contents=file_id("44"),
            installer="uv",
            wheel=("cp312-cp312-manylinux_2_17_x86_64",),
            requested=True,
            license="BSD-3-Clause",
        ),
        Distribution(
            "six",
            "1.17.0",
            contents=file_id("11"),
            installer="pip",
            source=Source("archive", url="file:///srv/six-1.17.0-py3-none-any.whl", hashes={"sha256": "55" * 32}),
        ),
        Distribution(
            "tools",
            "2.1",
            contents=file_id("66"),
            source=Source(
                "vcs",
                url="ssh://git@example.org/tools",
                subdirectory="python",
                vcs="git",
                requested="v2.1",
                commit="77" * 20,
            ),
        ),
    ),
    system=System(
        "linux",
        "x86_64",
        release="debian 12",
        libc="glibc 2.36",
        packages=(SystemPackage("libgomp1", "12.2.0-14", "amd64", "modules"), SystemPackage("zlib1g", "1.2", "amd64")),
        libraries={"libpython3.12.so.1.0": file_id("88")},
        accelerator={"cudart": "12.4.127"},
        container=Container("podman", image="example.org/train:1", digest="sha256:" + "99" * 32),
    ),
    machine=Machine("Linux 6.1.0", cpu="A CPU", cores=8, memory=32_000, gpus=("A GPU",), driver="nvidia 550.54.14"),
    conda=(
        CondaPackage(
            "mkl", "2024.0", "h1_0", channel="conda-forge", subdir="linux-64", hashes={"md5": "aa" * 16}
        ),
    ),
    variables={"API_TOKEN": None, "OMP_NUM_THREADS": "4"},
    metadata={"key": "value"},
    notes=("tools has no RECORD, so its files are not known",),
)
