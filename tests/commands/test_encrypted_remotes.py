"""Encrypted remotes: passphrases, key files, and what others find at the place."""

from __future__ import annotations

import os
import pty
import select
import shutil
import sys
import time
from pathlib import Path

import pytest

from dsvc.remotes.encryption import keyslots
from tests.commands.conftest import CommandLine


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passphrases at a cost of milliseconds."""
    monkeypatch.setattr(keyslots, "_COST", 10)


@pytest.fixture
def ada(cli: CommandLine) -> CommandLine:
    """Ada, with a commit and an encrypted remote that holds it."""
    cli.ok("init", "-q")
    (cli.directory / "secret.txt").write_text("a secret\n" * 1000)
    cli.ok("commit", "-q", "-m", "secret words")
    cli.ok("remote", "add", "--encrypt", "origin", "../hub")
    cli.environment["DSVC_PASSPHRASE"] = "correct horse"
    cli.ok("push", "-q", "origin", "main")
    return cli


def test_nothing_readable_lies_there(ada: CommandLine) -> None:
    hub = ada.directory.parent / "hub"
    files = [file for file in hub.rglob("*") if file.is_file()]
    assert files
    for file in files:
        data = file.read_bytes()
        assert not any(word in data for word in (b"secret", b"Ada", b"heads", b"horse"))
    assert ada("fsck").code == 0
    ids = {ref.ok("rev-parse", name).out.strip() for ref in (ada,) for name in ("HEAD", "HEAD:secret.txt")}
    assert not any(ident in str(file) for ident in ids for file in files)


def test_the_passphrase_is_needed(ada: CommandLine) -> None:
    cli = ada
    cli.environment["DSVC_PASSPHRASE"] = "wrong"
    wrong = cli("fetch")
    assert (wrong.code, "does not open with this passphrase" in wrong.err) == (14, True)
    del cli.environment["DSVC_PASSPHRASE"]
    nobody = cli("fetch")
    assert (nobody.code, "no terminal" in nobody.err, "DSVC_PASSPHRASE" in nobody.err) == (3, True, True)


def test_clone(ada: CommandLine) -> None:
    base = ada.directory.parent
    bob = CommandLine(base, {**ada.environment})
    plain = bob("clone", "-q", "hub", "bob")
    assert (plain.code, "is encrypted" in plain.err, "clone --encrypt" in plain.err) == (14, True, True)
    assert not (base / "bob").exists()
    bob.ok("clone", "-q", "--encrypt", "hub", "bob")
    clone = CommandLine(base / "bob", bob.environment)
    assert (clone.directory / "secret.txt").read_text() == "a secret\n" * 1000
    clone.ok("pull")
    assert "correct horse" not in (clone.directory / ".dsvc" / "config.toml").read_text()
    assert clone.ok("rev-parse", "HEAD").out == ada.ok("rev-parse", "HEAD").out


def test_encrypted_and_plain_places_are_not_mixed_up(ada: CommandLine) -> None:
    cli = ada
    cli.ok("remote", "add", "unaware", "../hub")
    answer = cli("push", "unaware", "main")
    assert (answer.code, "is encrypted" in answer.err) == (14, True)
    assert "dsvc config remote.unaware.encrypt true" in answer.err
    cli.ok("remote", "add", "plain", "../plain")
    cli.ok("push", "-q", "plain", "main")
    cli.ok("config", "remote.plain.encrypt", "true")
    for words in (("fetch", "plain"), ("push", "plain", "main")):
        answer = cli(*words)
        assert (answer.code, "is not encrypted" in answer.err) == (14, True)
    cli.ok("fetch", "origin")


def test_key_files(ada: CommandLine) -> None:
    cli = ada
    added = cli.ok("remote", "keys", "origin", "--add-key-file", "../key", "--label", "build server")
    assert "../key, which was written now, opens origin too" in added.err
    assert (cli.directory.parent / "key").stat().st_mode & 0o777 == 0o600
    assert cli.ok("remote", "keys").out == "1  passphrase\n2  key file  build server\n"
    machine = CommandLine(cli.directory.parent, {**cli.environment})
    del machine.environment["DSVC_PASSPHRASE"]
    machine.ok("clone", "-q", "--key-file", "key", "hub", "machine")
    clone = CommandLine(machine.directory / "machine", machine.environment)
    (clone.directory / "more").write_text("more")
    clone.ok("commit", "-q", "-m", "more")
    clone.ok("push", "-q")
    cli.ok("pull", "-q")
    assert (cli.directory / "more").exists()
    cli.ok("remote", "keys", "--remove", "2")
    assert clone("fetch").code == 14
    assert "no slot 2" in cli("remote", "keys", "--remove", "2").err
    refused = cli("remote", "keys", "--remove", "1")
    assert (refused.code, "cannot take itself away" in refused.err) == (3, True)
    cli.ok("remote", "add", "--key-file", "../new", "other", "../elsewhere")
    cli.ok("push", "-q", "other", "main")
    (cli.directory.parent / "new").write_text("nonsense")
    assert "is no key file" in cli("fetch", "other").err


def test_a_new_passphrase(ada: CommandLine) -> None:
    cli = ada
    cli.environment["DSVC_NEW_PASSPHRASE"] = "battery staple"
    cli.ok("remote", "keys", "--change-passphrase")
    assert cli("fetch").code == 14
    cli.environment["DSVC_PASSPHRASE"] = "battery staple"
    cli.ok("fetch")
    cli.environment["DSVC_NEW_PASSPHRASE"] = "bob's own"
    cli.ok("remote", "keys", "--add-passphrase", "--label", "bob")
    cli.environment["DSVC_PASSPHRASE"] = "bob's own"
    assert cli.ok("remote", "keys", "--json").json["keys"][-1] == {"number": 3, "kind": "passphrase", "label": "bob"}
    cli.ok("fetch")
    assert cli("remote", "keys", "--add-passphrase", "--remove", "1").code == 2


def test_damage_at_the_place_is_noticed(ada: CommandLine) -> None:
    cli = ada
    packs = sorted((cli.directory.parent / "hub" / "packs").iterdir())
    for pack in packs:
        data = bytearray(pack.read_bytes())
        data[len(data) // 2] ^= 1
        pack.chmod(0o644)
        pack.write_bytes(data)
    answer = cli("-C", "..", "clone", "-q", "--encrypt", "hub", "bob")
    assert answer.code == 15, answer.err
    assert "damaged in the encrypted place" in answer.err


def test_typed_at_the_terminal(ada: CommandLine) -> None:
    """Twice for a new place, once for one that is there, and never shown."""
    cli = ada
    del cli.environment["DSVC_PASSPHRASE"]
    cli.ok("remote", "add", "--encrypt", "typed", "../typed")
    program = shutil.which("dsvc", path=str(Path(sys.executable).parent))
    assert program

    def typing(words: list[str], *answers: str) -> tuple[int, str]:
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(cli.directory)
            os.execve(program, ["dsvc", *words], cli.environment)
        seen, left, until, asked = b"", list(answers), time.monotonic() + 60, 0
        while time.monotonic() < until:
            if not select.select([terminal], [], [], 0.2)[0]:
                continue
            try:
                piece = os.read(terminal, 4096)
            except OSError:
                break
            if not piece:
                break
            seen += piece
            if seen.endswith(b": ") and len(seen) > asked and left:
                asked = len(seen)
                os.write(terminal, left.pop(0).encode() + b"\n")
        os.close(terminal)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), seen.decode()

    code, seen = typing(["push", "typed", "main"], "one", "two")
    assert (code, "the two passphrases differ" in " ".join(seen.split())) == (3, True)
    code, seen = typing(["push", "typed", "main"], "one", "one")
    assert (code, seen.count("one")) == (0, 0), seen
    assert typing(["fetch", "typed"], "one")[0] == 0
    assert typing(["fetch", "typed"], "two")[0] == 14
