"""Signed commits and tags, through every command that makes some."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest

from dsvc.objects import codec
from dsvc.objects.ids import FileId, ObjectId
from dsvc.repo.tombstones import Tombstone, decode_tombstone, encode_tombstone
from dsvc.signing import Keygen, sign_payload, verify_signature
from tests.commands.conftest import Clones, History
from tests.signing.keys import agent, fingerprint, make_key, needs_ssh_agent, needs_ssh_keygen, public

pytestmark = needs_ssh_keygen


@pytest.fixture
def key(history: History, tmp_path: Path) -> Path:
    """A key of Ada's that is in the settings, and Ada among the allowed signers."""
    made = make_key(tmp_path / "ada")
    (tmp_path / "allowed").write_text(f"ada@example.com {public(made)}\n")
    history.cli.ok("config", "--user", "user.signingKey", str(made))
    history.cli.ok("config", "--user", "sign.allowedSigners", str(tmp_path / "allowed"))
    return made


def letters(history: History, *words: str) -> str:
    """The letters of the newest commits first."""
    return history.cli.ok("log", "--format=%G?", *words).out.replace("\n", "")


def test_commit_signs_where_it_is_told(history: History, key: Path) -> None:
    cli = history.cli
    history.commit("unsigned")
    for number, words in enumerate([["-S"], ["--gpg-sign"], ["-qaS"], [f"-S{key}"], [f"--gpg-sign={key}"], ["--sign"]]):
        history.write({"a": str(number)})
        cli.ok("commit", "-m", "signed", *words)
    assert letters(history) == "GGGGGGN"
    cli.ok("config", "commit.sign", "true")
    assert history.commit("by setting", {"a": "x"})
    history.write({"a": "y"})
    cli.ok("commit", "-m", "not this one", "--no-gpg-sign")
    assert letters(history, "-n2") == "NG"
    assert cli("commit", "-S", "--no-gpg-sign", "-m", "x").code == 2
    shown = cli.ok("log", "-n1", "--format=%GS|%GK|%GF|%GP|%GG", "HEAD~1").out
    mark = fingerprint(key)
    assert shown == f"ada@example.com|{mark}|{mark}|{mark}|Good signature by ada@example.com with ED25519 key {mark}\n"


def test_a_word_after_the_option_is_a_path(history: History, key: Path) -> None:
    history.write({"a": "a", "b": "b"})
    history.cli.ok("commit", "-m", "-S", "-S", "a")
    assert history.cli.ok("log", "--format=%G? %s").out == "G -S\n"
    assert history.cli.ok("ls").out == "a\n"


def test_verify_commit(history: History, key: Path, tmp_path: Path) -> None:
    cli = history.cli
    history.commit("unsigned")
    cli.ok("commit", "--allow-empty", "-S", "-m", "signed")
    good = cli.ok("verify-commit")
    assert good.out.splitlines()[1] == f"  Good signature by ada@example.com with ED25519 key {fingerprint(key)}"
    assert cli("verify-commit", "-q").out == ""
    assert "    signed\n" in cli.ok("verify-commit", "-v", "HEAD").out
    none = cli("verify-commit", "HEAD~1")
    assert (none.code, none.out.splitlines()[1]) == (1, "  No signature")
    document = cli("verify-commit", "--json", "HEAD~1", "HEAD").json
    assert (document["good"], [one["status"] for one in document["commits"]]) == (False, ["none", "good"])
    (tmp_path / "allowed").write_text(f'ada@example.com valid-before="20200101" {public(key)}\n')
    expired = cli("verify-commit", "--json", "HEAD~1..")
    assert expired.code == 1
    assert expired.json["commits"][0]["status"] == "expired"
    assert letters(history, "-n1") == "Y"
    cli.ok("config", "sign.revokedKeys", f"{key}.pub")
    (tmp_path / "allowed").write_text(f"ada@example.com {public(key)}\n")
    assert letters(history, "-n1") == "R"
    (tmp_path / "allowed").write_text("")
    assert letters(history, "-n1") == "U"
    (tmp_path / "allowed").unlink()
    gone = cli("verify-commit")
    assert (gone.code, "cannot be read" in gone.err) == (3, True)
    assert cli("verify-commit", "nothing").code == 3


def test_log_and_show(history: History, key: Path) -> None:
    cli = history.cli
    history.commit("unsigned")
    cli.ok("commit", "--allow-empty", "-S", "-m", "signed")
    line = f"Good signature by ada@example.com with ED25519 key {fingerprint(key)}"
    for words in (["log", "--show-signature"], ["show", "--show-signature"], ["log", "--graph", "--show-signature"]):
        shown = cli.ok(*words).out
        assert shown.splitlines()[1].endswith(line)
        assert shown.count("signature") == 1
    assert cli.ok("log", "--oneline", "--show-signature").out.splitlines()[1] == f"  {line}"
    assert "signature" not in cli.ok("log").out
    commits = cli.ok("log", "--json", "--show-signature").json["commits"]
    assert [commit["signature"]["letter"] for commit in commits] == ["G", "N"]
    shown = cli.ok("show", "--json", "--show-signature").json["objects"][0]
    assert shown["signature"]["principal"] == "ada@example.com"


def test_other_content_under_a_signature(history: History, key: Path) -> None:
    """A commit that somebody wrote with another one's signature."""

    from dsvc.objects.ids import CommitId, Kind, ObjectId
    from dsvc.refs.transaction import Act
    from dsvc.refs.view import Direct
    from dsvc.repo.repository import Repository
    from dsvc.storage.local import LocalBackend

    cli = history.cli
    history.write({"a": "a"})
    cli.ok("commit", "-S", "-m", "what Ada wrote")
    backend = LocalBackend(cli.directory / ".dsvc" / "store")
    repo = Repository.open(backend, backend.staging)
    ref = repo.view().get("heads/main")
    assert isinstance(ref, Direct)
    forged = repo.put_commit(replace(repo.commit(CommitId(ref.id)), message="what Eve wrote"))
    transaction = repo.transaction()
    transaction.set("heads/main", Direct(Kind.COMMIT, ObjectId(forged)))
    repo.publish(transaction, Act("commit", "forged", "eve", "host", "w", 0, 0))
    repo.close()
    answer = cli("verify-commit")
    assert (answer.code, "BAD signature" in answer.out, "does not fit" in answer.out) == (1, True, True)
    assert letters(history) == "B"
    # What is made from it has no signature, or its own.
    cli.ok("commit", "--amend", "--no-edit")
    assert letters(history) == "N"


def test_amend_signs_anew_or_drops(history: History, key: Path) -> None:
    cli = history.cli
    history.write({"a": "a"})
    cli.ok("commit", "-S", "-m", "one")
    cli.ok("commit", "--amend", "-m", "two")
    assert letters(history) == "N"
    cli.ok("commit", "--amend", "-S", "-m", "three")
    assert letters(history) == "G"
    cli.ok("config", "commit.sign", "true")
    cli.ok("commit", "--amend", "-m", "four")
    assert letters(history) == "G"
    cli.ok("commit", "--amend", "--no-sign", "-m", "five")
    assert letters(history) == "N"


@pytest.mark.parametrize("setting", ["true", "false"])
def test_what_makes_commits_anew(history: History, key: Path, setting: str) -> None:
    """cherry-pick, revert, rebase and merge sign by the setting, and never take a signature along."""
    cli = history.cli
    history.commit("root", {"a": "a"})
    cli.ok("branch", "side")
    cli.ok("config", "commit.sign", "true")
    history.commit("on main", {"b": "b"})
    cli.ok("config", "commit.sign", setting)
    letter = "G" if setting == "true" else "N"
    cli.ok("switch", "-q", "side")
    cli.ok("cherry-pick", "main")
    assert letters(history, "-n1") == letter
    cli.ok("revert", "HEAD")
    assert letters(history, "-n1") == letter
    cli.ok("switch", "-q", "-c", "third", "main~1")
    history.write({"c": "c"})
    cli.ok("commit", "-qm", "third", "-S")
    cli.ok("rebase", "main")
    assert letters(history, "-n2") == letter + "G"
    cli.ok("switch", "-q", "side")
    cli.ok("merge", "third")
    assert letters(history, "-n1") == letter
    assert cli.ok("log", "-n1", "--format=%p").out.count(" ") == 1


def test_options_of_what_makes_commits_anew(history: History, key: Path) -> None:
    cli = history.cli
    history.commit("root", {"a": "a"})
    cli.ok("branch", "side")
    history.commit("on main", {"b": "b"})
    history.commit("more", {"b": "c"})
    assert letters(history) == "NNN"
    cli.ok("rebase", "-S", "main~2")  # they stand there already, and are made anew for the signature
    assert letters(history) == "GGN"
    tip = cli.ok("rev-parse", "HEAD").out
    cli.ok("rebase", "-S", "main~2")
    assert cli.ok("rev-parse", "HEAD").out == tip
    cli.ok("switch", "-q", "side")
    cli.ok("cherry-pick", "-x", "-S", "main~1")
    cli.ok("revert", "-S", "HEAD")
    cli.ok("merge", "-S", "-X", "theirs", "--no-ff", "main~1")
    cli.ok("config", "commit.sign", "true")
    cli.ok("revert", "--no-gpg-sign", "-m", "1", "HEAD")
    assert letters(history, "-n4", "--first-parent") == "NGGG"


@pytest.mark.parametrize("verb", ["merge", "cherry-pick", "rebase", "revert"])
def test_signing_goes_on_behind_a_conflict(history: History, key: Path, verb: str) -> None:
    cli = history.cli
    history.commit("root", {"a": "a\n"})
    history.commit("middle", {"a": "b\n"})
    cli.ok("switch", "-q", "-c", "side", "HEAD~1")
    history.commit("on side", {"a": "c\n"})
    if verb == "revert":
        cli.ok("switch", "-q", "main")
        history.commit("after", {"a": "d\n"})
    target = {"revert": "HEAD~1"}.get(verb, "main")
    assert cli(verb, "-S", target).code == 13
    (cli.directory / "a").write_text("settled\n")
    cli.ok("resolve", "a")
    cli.environment["DSVC_EDITOR"] = cli.environment["EDITOR"] = "true"
    cli.ok(verb, "--continue")
    assert letters(history, "-n1") == "G"


def test_tags(history: History, key: Path) -> None:
    cli = history.cli
    history.commit("one")
    cli.ok("tag", "-s", "-m", "first\n\nand more", "v1")
    cli.ok("tag", "-u", str(key), "-m", "second", "v2")
    cli.ok("tag", "-m", "third", "v3")
    cli.ok("tag", "light")
    good = cli.ok("tag", "-v", "v1", "v2")
    assert good.out.count(f"  Good signature by ada@example.com with ED25519 key {fingerprint(key)}\n") == 2
    assert "    and more\n" in good.out
    assert cli.ok("verify-tag", "v1").out.startswith("tag v1 marks commit ")
    none = cli("verify-tag", "v1", "v3")
    assert (none.code, none.out.splitlines()[-1]) == (1, "  No signature")
    light = cli("verify-tag", "light")
    assert (light.code, "no tag with a message" in light.err) == (3, True)
    assert cli("tag", "-v").code == 2
    document = cli.ok("verify-tag", "--json", "v1").json
    assert (document["tags"][0]["status"], document["tags"][0]["signed_name"]) == ("good", "v1")
    assert "Good signature" in cli.ok("show", "--show-signature", "v1").out
    assert cli.ok("show", "--json", "--show-signature", "v1").json["objects"][0]["signature"]["good"] is True
    cli.ok("config", "tag.sign", "true")
    cli.ok("tag", "-m", "by setting", "v4")
    cli.ok("tag", "-m", "not this one", "--no-sign", "v5")
    assert [cli("verify-tag", "-q", name).code for name in ("v4", "v5")] == [0, 1]
    cli.environment["DSVC_EDITOR"] = cli.environment["EDITOR"] = "true"
    assert "the message is empty" in cli("tag", "v6").err


def test_a_tag_under_another_name(history: History, key: Path) -> None:
    """Who may write refs can point v2 to the signed v1; the signature does not cover that."""
    cli = history.cli
    history.commit("one")
    cli.ok("tag", "-s", "-m", "first", "v1")
    cli.ok("tag", "v2", cli.ok("tag", "--json").json["tags"][0]["tag"])
    answer = cli("verify-tag", "v2")
    assert (answer.code, "calls itself v1, not v2" in answer.out) == (1, True)


def test_without_a_key_or_program_nothing_is_committed(history: History, tmp_path: Path) -> None:
    cli = history.cli
    first = history.commit("one", {"a": "a"})
    history.write({"a": "b"})
    answer = cli("commit", "-S", "-m", "two")
    assert (answer.code, answer.err.splitlines()[0]) == (3, "dsvc: no key to sign with is known")
    assert "user.signingKey" in answer.err
    answer = cli("commit", f"-S{tmp_path}/none", "-m", "two")
    assert (answer.code, "No such file" in answer.err) == (3, True)
    make_key(tmp_path / "ada")
    cli.ok("config", "user.signingKey", str(tmp_path / "ada"))
    cli.ok("config", "sign.program", "ssh-keygen-of-nobody")
    answer = cli("commit", "-S", "-m", "two")
    assert (answer.code, "ssh-keygen-of-nobody was not found" in answer.err) == (3, True)
    assert cli("merge", "-S", "HEAD").code == 0
    assert cli.ok("rev-parse", "HEAD").out.strip() == first
    assert "modified:   a" in cli.ok("status").out
    assert not list((cli.directory / ".dsvc" / "store").rglob("*.tmp"))
    cli.ok("commit", "-m", "two")
    cli.ok("fsck")


def test_git_knows_the_key(history: History, tmp_path: Path) -> None:
    """Settings of git's stand in for dsvc's, as for the name of the author."""
    made = make_key(tmp_path / "ada")
    (tmp_path / "allowed").write_text(f"ada@example.com {public(made)}\n")
    git = Path(history.cli.environment["HOME"]) / ".gitconfig"
    git.write_text(f'[user]\n\tsigningKey = {made}\n[gpg "ssh"]\n\tallowedSignersFile = {tmp_path}/allowed\n')
    history.write({"a": "a"})
    assert "no key to sign with" in history.cli("commit", "-S", "-m", "a PGP key, as far as git knows").err
    git.write_text(git.read_text() + "[gpg]\n\tformat = ssh\n")
    history.cli.ok("commit", "-S", "-m", "signed")
    assert letters(history) == "G"
    other = make_key(tmp_path / "other")
    history.cli.ok("config", "user.signingKey", str(other))
    history.cli.ok("commit", "--amend", "-S", "-m", "by the key of dsvc's own settings")
    assert letters(history) == "U"


@needs_ssh_agent
def test_keys_of_an_agent(history: History, tmp_path: Path) -> None:
    cli = history.cli
    made = make_key(tmp_path / "ada")
    cli.ok("config", "sign.allowedSigners", "signers")
    history.write({"signers": f"ada@example.com {public(made)}\n"})
    with agent(tmp_path, made) as socket:
        made.unlink()
        cli.environment["SSH_AUTH_SOCK"] = socket
        cli.ok("config", "user.signingKey", f"key::{public(made)}")
        cli.ok("commit", "-S", "-m", "by its text")
        cli.ok("commit", "--allow-empty", f"-S{made}.pub", "-m", "by its public file")
        cli.ok("config", "--unset", "user.signingKey")
        git = Path(cli.environment["HOME"]) / ".gitconfig"
        git.write_text('[gpg]\n\tformat = ssh\n[gpg "ssh"]\n\tdefaultKeyCommand = ssh-add -L\n')
        cli.ok("commit", "--allow-empty", "-S", "-m", "by git's command")
        assert letters(history) == "GGG"
    cli.environment["SSH_AUTH_SOCK"] = str(tmp_path / "agent")
    answer = cli("commit", "--allow-empty", f"-Skey::{public(made)}", "-m", "x")
    assert (answer.code, "agent" in answer.err) == (3, True)


def test_a_passphrase_by_a_program(history: History, tmp_path: Path) -> None:
    made = make_key(tmp_path / "ada", passphrase="open sesame")
    asks = tmp_path / "asks"
    asks.write_text("#!/bin/sh\necho open sesame\n")
    asks.chmod(0o755)
    history.cli.ok("config", "user.signingKey", str(made))
    history.cli.environment |= {"SSH_ASKPASS": str(asks), "SSH_ASKPASS_REQUIRE": "force"}
    history.write({"a": "a"})
    history.cli.ok("commit", "-S", "-m", "signed")
    assert letters(history) == "U"
    asks.write_text("#!/bin/sh\necho wrong\n")
    answer = history.cli("commit", "--allow-empty", "-S", "-m", "x")
    assert (answer.code, "passphrase" in answer.err) == (3, True)


def test_a_passphrase_on_the_terminal(history: History, tmp_path: Path) -> None:
    """ssh-keygen asks the person at the terminal, though its input and output are dsvc's."""
    made = make_key(tmp_path / "ada", passphrase="open sesame")
    history.write({"a": "a"})
    cli = history.cli
    program = shutil.which("dsvc", path=str(Path(sys.executable).parent))
    assert program
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(cli.directory)
        os.execve(program, ["dsvc", "commit", f"-S{made}", "-m", "signed"], cli.environment)
    seen, until = b"", time.monotonic() + 60
    while time.monotonic() < until:
        if select.select([terminal], [], [], 0.2)[0]:
            try:
                piece = os.read(terminal, 4096)
            except OSError:
                break
            if not piece:
                break
            seen += piece
            if seen.rstrip().endswith(b":") and b"passphrase" in seen and b"sesame" not in seen:
                os.write(terminal, b"open sesame\n")
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, seen
    assert letters(history) == "U"


def test_nothing_stays_behind(history: History, key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    history.cli.environment["TMPDIR"] = str(scratch)
    history.write({"a": "a"})
    history.cli.ok("commit", "-S", "-m", "signed")
    history.cli.ok("verify-commit")
    secret = key.read_bytes().splitlines()[2]
    left = [file for file in history.cli.directory.rglob("*") if file.is_file() and secret in file.read_bytes()]
    assert (left, list(scratch.iterdir())) == ([], [])
    assert sorted(file.name for file in tmp_path.iterdir() if file.is_file()) == ["ada", "ada.pub", "allowed"]


def test_signatures_survive_the_store(history: History, key: Path) -> None:
    cli = history.cli
    cli.ok("config", "commit.sign", "true")
    for number in range(5):
        history.commit(f"number {number}", {"a": str(number)})
    cli.ok("gc")
    cli.ok("fork", ".", "../fork")
    assert letters(history) == "GGGGG"
    assert cli("verify-commit", "HEAD~4..", directory=cli.directory.parent / "fork").code == 0
    cli.ok("git", "export", "../git")
    raw = subprocess.run(
        ["git", "-C", str(cli.directory.parent / "git"), "cat-file", "commit", "main"], capture_output=True, check=True
    )
    assert b"gpgsig" not in raw.stdout  # it covers dsvc's bytes, so git could not check it


def test_merge_takes_only_what_is_signed(history: History, key: Path, tmp_path: Path) -> None:
    cli = history.cli
    history.commit("first", {"a": "1"})
    for name, words in (("signed", ["-S"]), ("unsigned", [])):
        cli.ok("switch", "-q", "-c", name, "main")
        history.write({name: "1"})
        cli.ok("commit", "-q", "-m", name, *words)
    cli.ok("switch", "-q", "main")
    before = cli.ok("rev-parse", "HEAD").out
    answer = cli("merge", "--verify-signatures", "unsigned")
    assert answer.code == 1
    assert "has no good signature (none)" in answer.err
    assert "dsvc verify-commit" in answer.err
    assert cli.ok("rev-parse", "HEAD").out == before
    cli.ok("config", "merge.verifySignatures", "true")
    assert cli("merge", "--no-ff", "unsigned").code == 1
    cli.ok("merge", "signed")
    cli.ok("merge", "--no-verify-signatures", "unsigned")
    cli.ok("config", "sign.allowedSigners", str(tmp_path / "nobody"))
    (tmp_path / "nobody").write_text("")
    cli.ok("reset", "-q", "--hard", before.strip())
    assert "(unknown)" in cli("merge", "signed").err


def test_pull_takes_only_what_is_signed(clones: Clones, history: History, key: Path) -> None:
    settings = ("user.signingKey", str(key)), ("sign.allowedSigners", str(key.parent / "allowed"))
    bob = clones.join("bob")
    for name, value in settings:
        clones.ada.ok("config", name, value)
        bob.ok("config", name, value)
    clones.commit(clones.ada, "unsigned", {"a": "2\n"})
    clones.ada.ok("push", "-q")
    before = bob.ok("rev-parse", "HEAD").out
    assert bob("pull", "--verify-signatures").code == 1
    assert bob("pull", "--rebase", "--verify-signatures").code == 2
    assert bob.ok("rev-parse", "HEAD").out == before
    clones.ada.ok("commit", "-q", "--allow-empty", "-S", "-m", "signed")
    clones.ada.ok("push", "-q")
    bob.ok("pull", "-q", "--verify-signatures")
    assert bob.ok("rev-parse", "HEAD").out == clones.ada.ok("rev-parse", "HEAD").out


def test_notes_on_what_was_purged(history: History, key: Path, tmp_path: Path) -> None:
    cli = history.cli
    history.commit("secrets", {"a": "one", "b": "two", "c": "three"})
    cli.ok("purge", "a", "--reason", "a password", "--yes")
    cli.ok("purge", "b", "--reason", "another", "--yes", "--no-sign")
    (tmp_path / "stranger").mkdir()
    stranger = make_key(tmp_path / "stranger" / "key")
    cli.ok("purge", "c", "--reason", "a third", "--yes", f"-S{stranger}")
    listed = cli.ok("purge", "--list").out
    assert f"  Good signature by ada@example.com with ED25519 key {fingerprint(key)}\n" in listed
    found = {row["reason"]: row["signature"] for row in cli.ok("purge", "--list", "--json").json["files"]}
    assert found["a password"]["good"]
    assert found["another"]["status"] == "none"
    assert found["a third"]["status"] == "unknown"
    assert cli("purge", "--list", "a").code == 2
    assert cli("purge").code == 2


def test_a_signed_note_is_not_moved_to_another_file(key: Path) -> None:
    allowed = f"ada@example.com {public(key)}\n".encode()
    note = Tombstone(FileId(ObjectId(bytes(32))), "ada", 1_767_225_600_000_000, 60, "a password")
    signature = sign_payload(encode_tombstone(note, signed=False), str(key), keygen=Keygen())
    kept = encode_tombstone(note._replace(signature=signature))

    def verdict(read: Tombstone) -> str:
        return verify_signature(encode_tombstone(read, signed=False), read.signature, allowed, read.time).status

    assert verdict(decode_tombstone(bytes(32), kept)) == "good"
    assert verdict(decode_tombstone(b"\1" * 32, kept)) == "bad"
    assert verdict(decode_tombstone(bytes(32), kept)._replace(reason="none")) == "bad"
    odd = codec.encode({"what": "purged", "user": 3, "time": "now", "zone": None, "signature": "text"})
    assert decode_tombstone(bytes(32), odd) == Tombstone(note.file_id, "3", 0, 0, "")
