"""What is known of content beside history comes along with a push, a fetch and a clone, and nothing of it is lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dsvc.repo.ledgers import LEARNED, NOWHERE, WHERE, Copy, ledger_items, where_entry, where_key, write_ledger
from tests.commands.conftest import CommandLine
from tests.commands.test_runs_travel import act, opened
from tests.servers.web import Web

FILE, REMOTE = b"f" * 32, b"r" * 16


@pytest.fixture
def project(cli: CommandLine, web: Web, tmp_path: Path) -> CommandLine:
    """A repository with a file and two references, and a remote."""
    web.files.update({"/one": b"1" * 5000, "/two": b"2" * 6000})
    cli.ok("init", "-q")
    cli.ok("import-url", "--reference", f"{web.url}/one", "data/one")
    cli.ok("import-url", "--reference", f"{web.url}/two", "data/two")
    (cli.directory / "file").write_text("a file")
    cli.ok("commit", "-q", "-m", "references")
    cli.ok("remote", "add", "origin", str(tmp_path / "there"))
    cli.ok("push", "-q", "-u")
    return cli


def clone(project: CommandLine, folder: Path) -> CommandLine:
    project.ok("clone", "-q", project.ok("remote", "get-url", "origin").out.strip(), str(folder))
    return CommandLine(folder, project.environment)


def ledger(person: CommandLine, name: str) -> dict[str, bytes]:
    """Return the id under each key."""
    repo = opened(person)
    try:
        return {key: bytes(entry.id) for key, entry in ledger_items(repo.view(), repo.store, name)}
    finally:
        repo.close()


def note(person: CommandLine, time: int, packs: bytes) -> None:
    """Note what a remote answered at some time, as `data where --check` does."""
    repo = opened(person)
    transaction = repo.transaction()
    write_ledger(repo.store, transaction, WHERE, {where_key(FILE, REMOTE): where_entry(Copy(REMOTE, packs, time))})
    repo.publish(transaction, act())
    repo.close()


def remotes_of(person: CommandLine, path: str) -> list[str]:
    return [copy["remote"] for copy in json.loads(person.ok("data", "where", path, "--json").out)["copies"]]


def test_what_one_clone_learned_the_others_know(project: CommandLine, tmp_path: Path, web: Web):
    other = clone(project, tmp_path / "other")
    project.ok("data", "get", "-q", "data/one")
    project.ok("data", "where", "--check", "file")
    project.ok("push", "-q")  # although no branch moved
    other.ok("data", "get", "-q", "data/two")
    other.ok("push", "-q")
    other.ok("fetch", "-q")
    project.ok("fetch", "-q")
    third = clone(project, tmp_path / "third")
    assert len(ledger(third, LEARNED)) == 2
    for name in (LEARNED, WHERE):
        assert ledger(project, name) == ledger(other, name) == ledger(third, name) != {}
    for person in (project, other, third):
        assert remotes_of(person, "file") == ["origin"]
        before = person.ok("op", "log").out
        person.ok("push", "-q")
        person.ok("fetch", "-q")
        assert person.ok("op", "log").out == before  # there is nothing to tell any more
        assert "nothing is damaged" in person.ok("fsck").err


def test_a_remote_is_known_however_its_address_is_written(project: CommandLine, tmp_path: Path):
    other = clone(project, tmp_path / "other")
    other.ok("remote", "set-url", "origin", f"file://{tmp_path / 'there'}")
    other.ok("data", "where", "--check", "file")
    other.ok("push", "-q")
    project.ok("fetch", "-q")
    assert remotes_of(project, "file") == ["origin"]


def test_a_remote_whose_address_cannot_be_read_is_no_obstacle(project: CommandLine):
    project.ok("data", "where", "--check", "file")
    project.ok("config", "remote.broken.url", "http://host/x")
    assert remotes_of(project, "file") == ["origin"]


def test_content_is_compared_with_what_another_clone_learned(project: CommandLine, tmp_path: Path, web: Web):
    web.etag_of = lambda data: '"same"'
    web.files["/liar"] = b"a" * 100
    project.ok("import-url", "--reference", f"{web.url}/liar", "liar")
    project.ok("commit", "-q", "-m", "liar")
    project.ok("data", "get", "-q", "liar")
    project.ok("push", "-q")
    other = clone(project, tmp_path / "other")
    web.files["/liar"] = b"b" * 100
    answer = other("data", "get", "liar")
    assert answer.code == 14
    assert "another content than before" in answer.err


def test_the_newest_answer_of_a_remote_counts_everywhere(project: CommandLine, tmp_path: Path):
    other = clone(project, tmp_path / "other")
    note(project, 1_000, b"p" * 32)
    project.ok("push", "-q")
    other.ok("fetch", "-q")
    note(other, 2_000, NOWHERE)  # it was asked again and does not have the file any more
    other.ok("push", "-q")
    note(project, 1_500, b"q" * 32)
    project.ok("push", "-q")  # knows an older answer
    project.ok("fetch", "-q")
    other.ok("fetch", "-q")
    assert set(ledger(project, WHERE).values()) == set(ledger(other, WHERE).values()) == {NOWHERE}


def test_two_who_push_at_once_lose_nothing(project: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from dsvc.actions import delivery

    other = clone(project, tmp_path / "other")
    project.ok("data", "get", "-q", "data/one")
    other.ok("data", "get", "-q", "data/two")
    take, calls = delivery.take_ledgers, []

    def raced(*arguments):  # the other one comes in between
        news = take(*arguments)
        calls.append(news)
        if len(calls) == 1:
            other.ok("push", "-q")
        return news

    monkeypatch.setattr(delivery, "take_ledgers", raced)
    project.ok("push", "-q")
    assert len(calls) >= 3
    project.ok("fetch", "-q")
    assert len(ledger(project, LEARNED)) == 2
