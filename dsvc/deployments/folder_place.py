"""A folder as a place: manifests, compose files and units, which other programs start."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dsvc.atomic import is_left_over, temporary_name, write_file
from dsvc.deployments.deployment import Deployment
from dsvc.deployments.files import ARCHIVE, files_of, heading
from dsvc.deployments.metrics import ask_metrics
from dsvc.deployments.monitors import FOLDER
from dsvc.deployments.place import Applied, InTheWayError, Package, Status
from dsvc.deployments.systemd import ROOT, root_name, unit_name
from dsvc.errors import RequestError


@dataclass(frozen=True, slots=True)
class FolderPlace:
    """Folders below `root`, the working copy, or anywhere: the place of a deployment says which."""

    root: Path

    @property
    def starts(self) -> bool:
        """Nobody starts what is written."""
        return False

    def folder(self, made: Deployment) -> Path:
        """Return the folder of a deployment."""
        return Path(os.path.abspath(os.path.join(self.root, made.place)))

    def read(self, made: Deployment, name: str) -> str:
        """Return what a file of a deployment holds now, an empty text where it is gone."""
        return _read(self.folder(made) / name) or ""

    def apply(self, made: Deployment, package: Package, before: Deployment | None) -> Applied:
        """Write the files, and remove those of the deployment before that are not among them; see `Place`."""
        folder = self.folder(made)
        older = self._older(made, before)
        for name, text in package.files.items():
            there = _read(folder / name)
            if there is not None and there not in (text, older.get(name)) and not there.startswith(heading(made)):
                raise InTheWayError(
                    f"{folder / name} is there, and was not written for {made.name}", hint="--output DIR names another"
                )
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _clear_left_over(folder)
            changed = self._image(folder, made, package, before)
            for name, text in package.files.items():
                if _read(folder / name) != text:
                    (folder / name).parent.mkdir(exist_ok=True)
                    write_file(folder / name, text.encode())
                    changed.append(name)
            removed = [name for name in older if name not in package.files]
            for name in removed:
                (folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise RequestError(f"{error.filename or folder} cannot be written: {error.strerror or error}") from error
        return Applied(tuple(changed), tuple(removed), _next(folder, made))

    def status(self, made: Deployment) -> Status:
        """Say whether the files are there as they were written."""
        folder = self.folder(made)
        changed, gone = [], []
        for name, text in files_of(made, folder=os.fspath(folder)).items():
            there = _read(folder / name)
            if there is None:
                gone.append(f"{name} is gone")
            elif there != text:
                changed.append(f"{name} was changed")
        return Status("gone" if gone else "changed" if changed else "written", facts=(*changed, *gone))

    def logs(self, made: Deployment, lines: int) -> Iterator[str]:
        """Yield nothing: what was started from files is known to others."""
        del made, lines
        yield from ()

    def logs_elsewhere(self, made: Deployment) -> str:
        """Return the command of the program that runs it."""
        return {
            "systemd": f"journalctl -u {unit_name(made.name)}",
            "compose": f"docker compose -f {self.folder(made)}/compose.yaml logs",
        }.get(made.target, f"kubectl logs -l app.kubernetes.io/name={made.name}")

    def metrics(self, made: Deployment) -> Iterator[str]:
        """Ask the servers at their ports; who applied manifests, and where, is not known here."""
        if made.target == "manifest" or "DSVC_SERVE_TOKEN" in made.spec.env:
            raise RequestError(f"the servers of {made.name} cannot be asked from here", hint="--prometheus URL")
        for index in range(made.spec.replicas):
            yield ask_metrics(f"http://{made.spec.host or '127.0.0.1'}:{made.spec.port + index}")

    def remove(self, made: Deployment) -> Applied:
        """Remove its files; those that somebody changed stay."""
        folder = self.folder(made)
        removed = []
        try:
            for name, text in files_of(made, folder=os.fspath(folder)).items():
                if _read(folder / name) == text:
                    (folder / name).unlink()
                    removed.append(name)
            _clear_left_over(folder)
            if made.target == "systemd":
                _clear_roots(folder, keep=())
            with suppress(FileNotFoundError):
                (folder / ARCHIVE).unlink()
            for each in (folder / FOLDER, folder):
                with suppress(OSError):
                    each.rmdir()
        except OSError as error:
            raise RequestError(f"{error.filename or folder} cannot be removed: {error.strerror}") from error
        return Applied(removed=tuple(removed))

    def _older(self, made: Deployment, before: Deployment | None) -> Mapping[str, str]:
        if before is None or before.target != made.target or before.place != made.place:
            return {}
        return files_of(before, folder=os.fspath(self.folder(before)))

    @staticmethod
    def _image(folder: Path, made: Deployment, package: Package, before: Deployment | None) -> list[str]:
        """Put the image beside the files where nothing fetches it from a registry."""
        if made.target == "systemd":
            root = root_name(made.digest)
            new = not (folder / root).is_dir()
            package.unpack(os.fspath(folder / root))
            if before is None or before.digest != made.digest:  # else a repetition: which one ran before, it knew
                _clear_roots(folder, keep=(root, root_name(before.digest) if before is not None else root))
            return [root] if new else []
        if made.target != "compose" or made.metadata.get("registry"):
            return []
        if (folder / ARCHIVE).exists() and before is not None and before.digest == made.digest:
            return []
        part = folder / temporary_name(ARCHIVE)
        try:
            with open(part, "wb") as file:
                package.archive(file)
            part.replace(folder / ARCHIVE)
        finally:
            part.unlink(missing_ok=True)
        return [ARCHIVE]


def _clear_left_over(folder: Path) -> None:
    """Remove what a deploy that was killed was about to write."""
    for each in (*folder.glob("*.tmp"), *folder.glob(f"{FOLDER}/*.tmp")):
        if is_left_over(each.name) and not each.is_dir():
            each.unlink(missing_ok=True)


def _clear_roots(folder: Path, *, keep: tuple[str, ...]) -> None:
    """Remove unpacked images, but the present one and the one before it, which may still be running."""
    import shutil

    for each in folder.glob(f"{ROOT}*"):
        if each.name not in keep:
            shutil.rmtree(each, ignore_errors=True)


def _next(folder: Path, made: Deployment) -> str:
    """Return the command that starts what was written."""
    if made.target == "compose":
        up = f"docker compose -f {folder}/compose.yaml up -d"
        return up if made.metadata.get("registry") else f"docker load -i {folder}/{ARCHIVE} && {up}"
    if made.target == "systemd":
        return f"systemctl enable --now {folder}/{unit_name(made.name)}"
    return f"kubectl apply -k {folder}"


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RequestError(f"{path} cannot be read: {error.strerror}") from error
