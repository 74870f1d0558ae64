"""The hardware, the kernel, and the container around them; read from files, so that it costs a millisecond.

`root` is where the system's files are read from, another folder than / for a system that does not run.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from dsvc.environments.environment import Container, Machine
from dsvc.environments.interpreter import clean
from dsvc.environments.variables import without_login

IMAGE = "DSVC_CONTAINER_IMAGE"  # who starts a container can say here which image it is: NAME@sha256:DIGEST
_CPU = re.compile(r"^(?:model name|Model|cpu model|Hardware)\s*:\s*(.+)$", re.MULTILINE)
_DRIVER = re.compile(r"\b(\d+\.\d+(?:\.\d+)?)\b")
_DIGEST = re.compile(r"\bsha256:[0-9a-f]{64}\b")


def find_machine(root: str = "/") -> Machine:
    """Return what is known of this machine; what cannot be found out is empty."""
    system = os.uname()
    driver, gpus = _nvidia(root)
    return Machine(
        kernel=clean(f"{system.sysname} {system.release}"),
        cpu=clean(_cpu(root)),
        cores=os.cpu_count() or 0,
        memory=_memory(),
        gpus=tuple(clean(gpu) for gpu in gpus),
        driver=clean(driver),
    )


def find_container(variables: Mapping[str, str], root: str = "/") -> Container | None:
    """Return the container that this process runs in, or None.

    No file inside names the image's digest: DSVC_CONTAINER_IMAGE tells it, or the engine where its socket is at hand.
    """
    image = variables.get(IMAGE, "")
    podman = _read(os.path.join(root, "run/.containerenv"))
    singularity = variables.get("APPTAINER_CONTAINER") or variables.get("SINGULARITY_CONTAINER") or ""
    found = _DIGEST.search(image)
    digest = found[0] if found else ""
    inside = podman is not None or os.path.lexists(os.path.join(root, ".dockerenv"))
    if inside and not image:
        from dsvc.environments.engine import asked_image  # HTTP, which few need and all would wait for

        image, digest = asked_image(_read(os.path.join(root, "proc/self/mountinfo")) or "", variables, root)
    if podman is not None:
        fields = dict(re.findall(r'^(\w+)="(.*)"$', podman, re.MULTILINE))
        return _container("podman", image or fields.get("image", ""), digest)
    if inside:
        engine = "kubernetes" if "KUBERNETES_SERVICE_HOST" in variables else "docker"
    elif singularity:
        engine, image = "apptainer", image or os.path.basename(singularity)
    elif "KUBERNETES_SERVICE_HOST" in variables:
        engine = "kubernetes"
    elif variables.get("container"):
        engine = variables["container"]
    elif image:
        engine = "container"
    else:
        return None
    return _container(engine, image, digest)


def _container(engine: str, image: str, digest: str) -> Container:
    return Container(clean(engine), without_login(clean(image.partition("@")[0])), digest)


def system_release(root: str = "/") -> str:
    """Return distribution and version by os-release, such as `debian 12`; empty where there is no such file."""
    for name in ("etc/os-release", "usr/lib/os-release"):
        text = _read(os.path.join(root, name))
        if text is not None:
            fields = dict(line.partition("=")[::2] for line in text.splitlines() if "=" in line)
            parts = (fields.get("ID", ""), fields.get("VERSION_ID", ""))
            return clean(" ".join(part.strip("\"'") for part in parts if part))
    return ""


def _cpu(root: str) -> str:
    text = _read(os.path.join(root, "proc/cpuinfo"), size=8192) or ""
    found = _CPU.search(text)
    return " ".join(found[1].split()) if found else ""


def _memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    except (ValueError, OSError):
        return 0


def _nvidia(root: str) -> tuple[str, list[str]]:
    said = _read(os.path.join(root, "proc/driver/nvidia/version"))
    if said is None:
        return "", []
    version = _DRIVER.search(said)
    folder = os.path.join(root, "proc/driver/nvidia/gpus")
    gpus = []
    try:
        for name in sorted(os.listdir(folder)):
            model = re.search(r"^Model:\s*(.+)$", _read(os.path.join(folder, name, "information")) or "", re.MULTILINE)
            gpus.append(model[1].strip() if model else "GPU")
    except OSError:
        pass
    return f"nvidia {version[1]}" if version else "nvidia", gpus


def _read(path: str, size: int = 1 << 20) -> str | None:
    try:
        with open(path, "rb") as file:
            return file.read(size).decode("utf-8", "surrogateescape")
    except OSError:
        return None
