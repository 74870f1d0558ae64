"""Signatures that git made, in commits and tags that were imported."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dsvc.gitbridge.origin import KEY, seal_commit
from dsvc.objects import trees
from dsvc.objects.ids import CommitId, FileId, Kind, ObjectId, TreeId
from dsvc.objects.tree import Entry, EntryKind
from dsvc.objects.values import Commit
from dsvc.refs.view import Direct
from dsvc.repo.repository import Repository
from dsvc.storage.local import LocalBackend
from tests.gitbridge.conftest import ACT, Git
from tests.gitbridge.test_command import Dsvc
from tests.signing.keys import fingerprint, make_key, needs_ssh_keygen, public

pytestmark = needs_ssh_keygen


@pytest.fixture
def signed(new_git: Callable[..., Git], tmp_path: Path) -> tuple[Git, Path]:
    """A git repository whose commits and tag are signed by SSH, except the first commit."""
    git = new_git()
    key = make_key(tmp_path / "ada")
    git("config", "gpg.format", "ssh")
    git("config", "user.signingKey", str(key))
    git.commit("first", a="a", folder__b="b" * 400_000)
    git("config", "commit.gpgSign", "true")
    git.commit("second\n\nwith a body", a="aa", run="x")
    git("update-index", "--chmod=+x", "run")
    git("commit", "-q", "-m", "third")
    git("tag", "-s", "-m", "a tag", "v1")
    return git, key


@pytest.fixture
def dsvc(signed: tuple[Git, Path], tmp_path: Path) -> Dsvc:
    """A repository into which it was imported, with Ada among the allowed signers."""
    git, key = signed
    folder = tmp_path / "project"
    folder.mkdir()
    made = Dsvc(folder, {**git.environment, "DSVC_USER_NAME": "Ada", "DSVC_USER_EMAIL": "ada@example.org"})
    made("init", "-q")
    made("git", "import", str(git.path))
    (tmp_path / "allowed").write_text(f"ada@example.org {public(key)}\n")
    made("config", "sign.allowedSigners", str(tmp_path / "allowed"))
    return made


def statuses(dsvc: Dsvc, *words: str, code: int) -> list[str]:
    import json

    out, _ = dsvc("verify-commit", "--json", *words, code=code)
    return [one["status"] for one in json.loads(out)["commits"]]


def test_git_and_dsvc_agree(signed: tuple[Git, Path], dsvc: Dsvc) -> None:
    git, key = signed
    main = next(b["name"] for b in dsvc.json("branch")["branches"])
    assert statuses(dsvc, f"{main}~2", f"{main}~1", main, code=1) == ["none", "good", "good"]
    out, _ = dsvc("verify-commit", main)
    assert f"Good signature by ada@example.org with ED25519 key {fingerprint(key)}" in out
    assert f"of git's object {git('rev-parse', 'HEAD').decode()}" in out
    out, _ = dsvc("verify-tag", "v1")
    assert f"of git's object {git('rev-parse', 'v1').decode()}" in out
    git("config", "gpg.ssh.allowedSignersFile", str(key.parent / "allowed"))
    git("verify-commit", "HEAD", "HEAD~1")
    git("verify-tag", "v1")


def test_a_log_leaves_it_to_verify_commit(dsvc: Dsvc) -> None:
    main = next(b["name"] for b in dsvc.json("branch")["branches"])
    out, _ = dsvc("log", "--format=%G?", main)
    assert out == "E\nE\nN\n"
    out, _ = dsvc("log", "--show-signature", "-n1", main)
    assert "'dsvc verify-commit' checks it" in out


def test_signatures_come_back_untouched(signed: tuple[Git, Path], dsvc: Dsvc, tmp_path: Path) -> None:
    git, key = signed
    dsvc("git", "export", str(tmp_path / "back"))
    (tmp_path / "allowed").write_text(f"ada@example.org {public(key)}\n")
    words = ["-c", f"gpg.ssh.allowedSignersFile={tmp_path}/allowed", "verify-commit"]
    head = git("rev-parse", "HEAD").decode()
    subprocess.run(["git", "-C", str(tmp_path / "back"), *words, head], check=True, capture_output=True)


def test_what_the_key_may_do_counts(signed: tuple[Git, Path], dsvc: Dsvc, tmp_path: Path) -> None:
    _, key = signed
    main = next(b["name"] for b in dsvc.json("branch")["branches"])
    (tmp_path / "allowed").write_text(f'ada@example.org namespaces="dsvc" {public(key)}\n')
    assert statuses(dsvc, main, code=1) == ["unknown"]
    (tmp_path / "allowed").write_text(f'ada@example.org valid-before="20200101" {public(key)}\n')
    assert statuses(dsvc, main, code=1) == ["expired"]


Forge = Callable[[Repository, Commit], Commit]


def _other_files(repo: Repository, commit: Commit) -> Commit:
    entry = Entry(EntryKind.FILE, FileId(repo.store.put_content(b"backdoor")), 8)
    return replace(commit, tree=TreeId(trees.edit_tree(repo.store, commit.tree, {b"a": entry}).id))  # type: ignore


def _other_message(_: Repository, commit: Commit) -> Commit:
    return replace(commit, message="something else")


def _other_author(_: Repository, commit: Commit) -> Commit:
    return replace(commit, author=commit.author._replace(name="Eve"))


def _other_parents(_: Repository, commit: Commit) -> Commit:
    return replace(commit, parents=())


def _other_id(_: Repository, commit: Commit) -> Commit:
    origin: Any = commit.metadata[KEY]
    return replace(commit, metadata={KEY: {**origin, "id": bytes(20)}})


@pytest.mark.parametrize(
    ("forge", "word"),
    [
        (_other_files, "its files are not those"),
        (_other_message, "its message or people are not those"),
        (_other_author, "its message or people are not those"),
        (_other_parents, "its parents are not those"),
        (_other_id, "it is not the git commit that it is said to be"),
    ],
)
def test_a_signature_lent_to_another_commit(dsvc: Dsvc, forge: Forge, word: str) -> None:
    """The seal over an import is no secret, so anybody can write a commit that claims a signed one of git's."""
    main = next(b["name"] for b in dsvc.json("branch")["branches"])
    backend = LocalBackend(dsvc.directory / ".dsvc" / "store")
    repo = Repository.open(backend, backend.staging)
    ref = repo.view().get(f"heads/{main}")
    assert isinstance(ref, Direct)
    commit = forge(repo, repo.commit(CommitId(ref.id)))
    origin: Any = commit.metadata[KEY]
    forged = repo.put_commit(replace(commit, metadata={KEY: {**origin, "seal": seal_commit(commit)}}))
    transaction = repo.transaction()
    transaction.set(f"heads/{main}", Direct(Kind.COMMIT, ObjectId(forged)))
    repo.publish(transaction, ACT)
    repo.close()
    out, _ = dsvc("verify-commit", main, code=1)
    assert "Signature not checked" in out
    assert word in out
    assert "ada@example.org" not in out


def test_amending_takes_no_signature_of_gits_along(dsvc: Dsvc) -> None:
    main = next(b["name"] for b in dsvc.json("branch")["branches"])
    dsvc("switch", "-q", main)
    dsvc("commit", "--amend", "-m", "mine")
    assert statuses(dsvc, "HEAD", code=1) == ["none"]


def test_pgp_signatures_are_not_checked(new_git: Callable[..., Git], tmp_path: Path) -> None:
    git = new_git()
    git.commit("first", a="a")
    raw = git("cat-file", "commit", "HEAD")
    head, _, message = raw.partition(b"\n\n")
    header = b"\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n iQ\n -----END PGP SIGNATURE-----\n\n"
    made = git("hash-object", "-t", "commit", "-w", "--stdin", stdin=head + header + message + b"\n").decode()
    git("update-ref", "HEAD", made)
    folder = tmp_path / "project"
    folder.mkdir()
    dsvc = Dsvc(folder, {**git.environment, "DSVC_USER_NAME": "Ada", "DSVC_USER_EMAIL": "ada@example.org"})
    dsvc("init", "-q")
    dsvc("git", "import", str(git.path))
    main = next(b["name"] for b in dsvc.json("branch")["branches"])
    out, _ = dsvc("verify-commit", main, code=1)
    assert "it is a PGP signature; dsvc checks SSH signatures" in out
