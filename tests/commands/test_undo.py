from __future__ import annotations

from pathlib import Path

import pytest

from tests.commands.conftest import CommandLine


@pytest.fixture
def project(cli: CommandLine) -> Path:
    cli.ok("init")
    for number in ("1", "2", "3"):
        (cli.directory / "a").write_text(number)
        cli.ok("commit", "-m", number)
    return cli.directory


def subject(cli: CommandLine) -> str:
    return cli.ok("op", "show", "--json").json["description"]


def head(cli: CommandLine) -> str:
    return cli.ok("rev-parse", "HEAD").out.strip()


def test_undoing_a_commit_leaves_the_files_and_shows_their_changes(cli: CommandLine, project: Path) -> None:
    cli.ok("undo")
    assert (project / "a").read_text() == "3"
    assert cli.ok("status", "-s").out == " M a\n"
    assert cli.ok("cat", "HEAD:a").out == "2"
    cli.ok("redo")
    assert cli.ok("status", "-s").out == ""
    assert cli.ok("cat", "HEAD:a").out == "3"


def test_undo_and_redo_go_back_and_forth_like_an_editor(cli: CommandLine, project: Path) -> None:
    def at() -> str:
        return cli.ok("cat", "HEAD:a").out

    cli.ok("undo")
    cli.ok("undo")
    assert at() == "1"
    cli.ok("redo")
    assert at() == "2"
    cli.ok("undo")
    assert at() == "1"
    cli.ok("redo")
    cli.ok("redo")
    assert at() == "3"
    assert cli("redo").code == 3
    cli.ok("undo")
    (project / "a").write_text("other")
    cli.ok("commit", "-m", "other")
    assert cli("redo").code == 3
    cli.ok("undo")
    assert at() == "2"
    cli.ok("undo")
    assert at() == "1"
    cli.ok("undo")
    answer = cli("undo")
    assert answer.code == 3
    assert "nothing to undo" in answer.err


def test_undoing_a_switch_moves_the_files_back(cli: CommandLine, project: Path) -> None:
    cli.ok("switch", "-c", "side", "HEAD~2")
    assert (project / "a").read_text() == "1"
    (project / "new").write_text("new")
    result = cli.ok("undo", "--json").json
    assert result["files_moved"]
    assert (project / "a").read_text() == "3"
    assert (project / "new").read_text() == "new"
    assert cli("rev-parse", "side").code == 3
    cli.ok("redo")
    assert (project / "a").read_text() == "1"


def test_undoing_a_switch_refuses_where_a_file_was_changed_since(cli: CommandLine, project: Path) -> None:
    cli.ok("switch", "-c", "side", "HEAD~2")
    (project / "a").write_text("mine")
    answer = cli("undo")
    assert answer.code == 3
    assert "a: changed" in answer.err
    assert (project / "a").read_text() == "mine"


def test_undoing_a_hard_reset_brings_back_what_it_overwrote(cli: CommandLine, project: Path) -> None:
    (project / "a").write_text("precious")
    cli.ok("reset", "--hard", "HEAD~1")
    assert (project / "a").read_text() == "2"
    cli.ok("undo")
    assert (project / "a").read_text() == "precious"
    assert cli.ok("cat", "HEAD:a").out == "3"
    assert cli.ok("status", "-s").out == " M a\n"


def test_undoing_a_restore_after_a_commit_in_between(cli: CommandLine, project: Path) -> None:
    (project / "a").write_text("precious")
    cli.ok("restore", "a")
    (project / "b").write_text("b")
    cli.ok("commit", "-m", "b")
    cli.ok("undo")
    cli.ok("undo")
    assert (project / "a").read_text() == "precious"
    assert (project / "b").read_text() == "b"


def test_undo_refuses_and_names_the_later_operation(cli: CommandLine, project: Path, tmp_path: Path) -> None:
    from dsvc.objects.ids import Kind, ObjectId
    from dsvc.refs.transaction import Act
    from dsvc.refs.view import Direct
    from dsvc.repo.repository import Repository
    from dsvc.storage.local import LocalBackend

    first = cli.ok("rev-parse", "HEAD~2").out.strip()
    backend = LocalBackend(project / ".dsvc" / "store")
    repo = Repository.open(backend, backend.staging)
    transaction = repo.transaction()
    transaction.set("heads/main", Direct(Kind.COMMIT, ObjectId(bytes.fromhex(first))))
    repo.publish(transaction, Act("push", "push: from elsewhere", "b", "host", "other", 1, 0))
    repo.close()
    answer = cli("undo")
    assert answer.code == 3
    assert "push: from elsewhere" in answer.err
    assert "dsvc op show" in answer.err


def test_op_log_lists_and_op_restore_goes_to_a_state(cli: CommandLine, project: Path) -> None:
    cli.ok("switch", "-c", "side", "HEAD~2")
    (project / "a").write_text("side")
    cli.ok("commit", "-m", "side")
    rows = cli.ok("op", "log", "--json").json["operations"]
    assert [row["verb"] for row in rows[:3]] == ["commit", "switch", "commit"]
    assert rows[0]["command"] == ["dsvc", "commit", "-m", "side"]
    text = cli.ok("op", "log", "-n", "1").out
    assert "commit: side" in text
    assert "Ada Example" in text
    result = cli.ok("op", "restore", rows[2]["id"][:12], "--json").json
    assert {m["ref"] for m in result["moves"]} >= {"heads/side", "worktrees/main/HEAD"}
    assert (project / "a").read_text() == "3"
    cli.ok("undo")
    assert (project / "a").read_text() == "side"
    assert cli("op", "restore", "@~900").code == 3
    assert cli("op", "show", "zz").code == 3


def test_op_show_names_the_refs(cli: CommandLine, project: Path) -> None:
    assert "main:" in cli.ok("op", "show").out
    (move,) = cli.ok("op", "show", "@~1", "--json").json["moves"]
    assert move["ref"] == "heads/main"


def test_restoring_the_present_state_is_no_operation(cli: CommandLine, project: Path) -> None:
    before = cli.ok("op", "log").out
    assert "Nothing to restore" in cli.ok("op", "restore", "@").err
    assert cli.ok("op", "restore", "@", "--json").json["operation"] is None
    assert cli.ok("op", "log").out == before


def test_a_state_with_the_same_refs_is_no_operation(cli: CommandLine, project: Path) -> None:
    (project / "a").write_text("mine")
    cli.ok("restore", "a")
    answer = cli.ok("op", "restore", "@~1")
    assert answer.err.startswith("Nothing to restore")
    assert "restore: a" in cli.ok("undo").err
    assert (project / "a").read_text() == "mine"


def test_the_oldest_operation_can_be_shown(cli: CommandLine, project: Path) -> None:
    cli.environment["DSVC_DATE"] = "2026-02-28T12:00:00+01:00"
    cli.ok("gc", "--prune", "now")
    answer = cli.ok("op", "show")
    assert answer.out.startswith("operation ")
    assert "is not known any more" in answer.err
    assert cli.ok("op", "show", "--json").json["moves"] is None


def test_what_comes_back_is_new_where_it_was_new_before(cli: CommandLine, project: Path) -> None:
    (project / ".env").write_text("secret")
    (project / "folder").mkdir()
    (project / "folder/new.txt").write_text("n")
    (project / "added.txt").write_text("a")
    cli.ok("add", "added.txt")
    before = cli.ok("status", "-s").out
    assert before == "A  added.txt\n?? folder/\n"
    for words in (["clean", "-fdx"], ["stash"], ["commit", "-m", "all"]):
        cli.ok(*words)
        cli.ok("undo")
        assert cli.ok("status", "-s").out == before
        cli.ok("redo")
        assert "folder/" not in cli.ok("status", "-s").out
        cli.ok("undo")
        assert cli.ok("status", "-s").out == before
    cli.ok("stash")
    cli.ok("stash", "pop")
    assert cli.ok("status", "-s").out == before
    cli.ok("commit", "-m", "all")
    assert ".env" not in cli.ok("ls", "-r").out.splitlines()


def test_undoing_an_add_makes_a_file_new_again(cli: CommandLine, project: Path) -> None:
    (project / "b").write_text("b")
    cli.ok("add", "b")
    assert cli.ok("status", "-s").out == "A  b\n"
    assert "add: b" in cli.ok("undo").err
    assert cli.ok("status", "-s").out == "?? b\n"
    assert cli.ok("cat", "HEAD:a").out == "3"
    cli.ok("redo")
    assert cli.ok("status", "-s").out == "A  b\n"
    cli.ok("commit", "-m", "b")
    for shown, head in (("A  b\n", "3"), ("?? b\n", "3"), (" M a\n?? b\n", "2")):
        cli.ok("undo")
        assert cli.ok("status", "-s").out == shown
        assert cli.ok("cat", "HEAD:a").out == head
    for _ in range(3):
        cli.ok("redo")
    assert cli.ok("cat", "HEAD:b").out == "b"
    assert cli.ok("status", "-s").out == ""
    assert cli("redo").code == 3


def test_an_undo_names_what_it_passes_over(cli: CommandLine, project: Path) -> None:
    cli.ok("worktree", "add", "-q", "../linked")
    said = cli.ok("undo")
    assert "commit: 3" in said.err
    assert "Left as it is, though done later: worktree add: linked at linked" in said.err
    cli.ok("redo")
    cli.ok("worktree", "remove", "linked")
    assert cli.ok("undo", "--json").json["left"] == []


def test_a_new_working_copy_says_how_it_goes(cli: CommandLine, project: Path) -> None:
    cli.ok("worktree", "add", "-q", "../linked")
    said = cli("undo", directory=project.parent / "linked")
    assert said.code == 3
    assert "dsvc worktree remove linked" in said.err
