"""A first push guesses what to send while the far end starts; a wrong guess does no harm."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from dsvc.actions import delivery, push
from dsvc.actions.first_push import FirstPush
from dsvc.repo.repository import Repository
from dsvc.storage.local import LocalBackend
from tests.commands.conftest import CommandLine, cli
from tests.servers.sshd import DSVC, Sshd, sshd

__all__ = ["cli", "sshd"]


@pytest.fixture
def guesses(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each push sent what was guessed."""
    taken: list[bool] = []
    deliver = delivery.deliver
    fits = FirstPush.fits

    def noting(*words: object, **named: object) -> object:
        taken.append(False)
        return deliver(*words, **named)  # type: ignore[arg-type]

    def fitting(self: FirstPush, *words: object) -> bool:
        taken[-1] = fits(self, *words)  # type: ignore[arg-type]
        return taken[-1]

    monkeypatch.setattr(push, "deliver", noting)
    monkeypatch.setattr(FirstPush, "fits", fitting)
    return taken


@pytest.fixture
def project(cli: CommandLine, sshd: Sshd, tmp_path: Path) -> CommandLine:
    """A project with a small and a large file, and a remote at the other end of SSH that is empty."""
    cli.environment["DSVC_SSH_COMMAND"] = f"ssh -F {sshd.config}"
    cli.ok("init", "-q")
    (cli.directory / "code.py").write_text("print(1)\n")
    (cli.directory / "data.bin").write_bytes(random.Random(1).randbytes(600_000))
    cli.ok("commit", "-q", "-m", "first")
    connect(cli, "origin", tmp_path / "far")
    return cli


def connect(cli: CommandLine, name: str, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    cli.ok("remote", "add", name, f"ssh://far{folder}")
    cli.ok("config", f"remote.{name}.command", DSVC)


def packs(store: Path) -> dict[str, int]:
    """Return the ids of the listed packs with files in them, and how many names their files have."""
    backend = LocalBackend(store)
    repo = Repository.open(backend, backend.staging)
    found = {ref.id.hex(): (store / ref.key).stat().st_nlink for ref in repo.head.packs.packs if ref.pack_class}
    repo.close()
    return found


def sound(cli: CommandLine, tmp_path: Path, name: str, *, files: tuple[str, ...] = ("code.py", "data.bin")) -> None:
    """Clone the remote, and compare what comes."""
    other = CommandLine(tmp_path, cli.environment)
    other.ok("-c", f"remote.origin.command={DSVC}", "clone", "-q", f"ssh://far{tmp_path / 'far'}", name)
    for file in files:
        assert (tmp_path / name / file).read_bytes() == (cli.directory / file).read_bytes()
    assert CommandLine(tmp_path / name, cli.environment)("fsck").code == 0


def test_packs_keep_their_ids_at_a_new_place(project: CommandLine, tmp_path: Path, guesses: list[bool]) -> None:
    here = packs(project.directory / ".dsvc" / "store")
    sent = project.ok("push", "--json").json
    assert guesses == [True]
    assert sent["objects"] >= 4
    assert packs(tmp_path / "far").keys() == here.keys()
    assert set(packs(project.directory / ".dsvc" / "store").values()) == {1}, "no second name of a pack is left"
    sound(project, tmp_path, "copy")


def test_packs_get_other_ids_at_a_place_that_had_some(
    project: CommandLine, tmp_path: Path, guesses: list[bool]
) -> None:
    project.ok("push", "-q")
    here = packs(project.directory / ".dsvc" / "store")
    (project.directory / "more.bin").write_bytes(random.Random(2).randbytes(600_000))
    project.ok("commit", "-q", "-m", "second")
    fresh = packs(project.directory / ".dsvc" / "store").keys() - here.keys()
    project.ok("push", "-q")
    assert guesses == [True, False]
    assert fresh
    assert not fresh & packs(tmp_path / "far").keys()
    sound(project, tmp_path, "copy", files=("code.py", "data.bin", "more.bin"))


def test_a_remote_that_somebody_else_filled(project: CommandLine, tmp_path: Path, guesses: list[bool]) -> None:
    (tmp_path / "second").mkdir()
    other = CommandLine(tmp_path / "second", project.environment)
    other.ok("init", "-q")
    (other.directory / "data.bin").write_bytes((project.directory / "data.bin").read_bytes())
    other.ok("commit", "-q", "-m", "theirs")
    connect(other, "origin", tmp_path / "far")
    other.ok("push", "-q")
    sent = json.loads(project.ok("push", "--json", "origin", "main:ours").out)
    assert guesses == [True, False]
    assert sent["bytes"] < 100_000, "the large file is there already"
    project.ok("fetch", "-q")
    sound(other, tmp_path, "copy", files=("data.bin",))


def test_refs_that_were_not_expected_are_sent_too(
    project: CommandLine, tmp_path: Path, guesses: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    project.ok("switch", "-q", "-c", "more")
    (project.directory / "more.bin").write_bytes(random.Random(2).randbytes(600_000))
    project.ok("commit", "-q", "-m", "second")
    project.ok("switch", "-q", "main")
    monkeypatch.setattr(push, "tips_of", lambda workspace, _: [workspace.view().resolve("heads/main")[1]])
    project.ok("push", "-q", "origin", "main", "more")
    assert guesses == [False]
    project.ok("switch", "-q", "more")
    sound(project, tmp_path, "copy")
    assert CommandLine(tmp_path / "copy", project.environment).ok("switch", "more").code == 0


def test_a_guess_is_given_up_where_there_is_much(
    project: CommandLine, tmp_path: Path, guesses: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dsvc.actions.first_push._MOST", 2)
    project.ok("push", "-q")
    assert guesses == [False]
    sound(project, tmp_path, "copy")
