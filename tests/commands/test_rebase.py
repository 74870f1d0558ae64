from __future__ import annotations

import pytest

from tests.commands.conftest import CommandLine

LINES = "".join(f"line {n}\n" for n in range(12))


class Project:
    def __init__(self, cli: CommandLine) -> None:
        self.cli, self.path = cli, cli.directory

    def commit(self, message: str, **files: str) -> None:
        for name, content in files.items():
            (self.path / name).write_text(content)
        self.cli.ok("commit", "-m", message)

    def text(self, name: str) -> str:
        return (self.path / name).read_text()


@pytest.fixture
def project(cli: CommandLine) -> Project:
    """Main and side diverge after `base`: main has one more commit, side has two, and side is checked out."""
    cli.ok("init")
    made = Project(cli)
    made.commit("base", a=LINES)
    cli.ok("switch", "-c", "side")
    made.commit("side 1", one="1")
    made.commit("side 2", a=LINES.replace("line 3\n", "side 3\n"))
    cli.ok("switch", "main")
    made.commit("main 1", m="m")
    cli.ok("switch", "side")
    return made


def parent_of(cli: CommandLine, revision: str) -> str:
    return cli.ok("rev-parse", f"{revision}^").out.strip()


def test_commits_go_on_top(cli: CommandLine, project: Project) -> None:
    (project.path / "dirty").write_text("mine")
    before = cli.ok("rev-parse", "HEAD").out
    cli.ok("rebase", "main")
    assert parent_of(cli, "side~1") == cli.ok("rev-parse", "main").out.strip()
    assert project.text("m") == "m"
    assert "side 3\n" in project.text("a")
    assert project.text("dirty") == "mine"
    assert cli.ok("status", "-s").out == "?? dirty\n"
    assert cli.ok("status", "--json").json["branch"] == "side"
    assert "up to date" in cli.ok("rebase", "main").err
    cli.ok("undo")
    assert cli.ok("rev-parse", "HEAD").out == before
    assert not (project.path / "m").exists()


def test_a_branch_that_is_behind_moves_forward(cli: CommandLine, project: Project) -> None:
    cli.ok("rebase", "side", "main")
    assert cli.ok("status", "--json").json["branch"] == "main"
    cli.ok("switch", "side")
    cli.ok("rebase", "main")
    assert cli.ok("rev-parse", "side").out == cli.ok("rev-parse", "main").out


def test_onto_another_commit(cli: CommandLine, project: Project) -> None:
    result = cli.ok("rebase", "--onto", "main", "HEAD~1", "--json").json
    assert len(result["done"]) == 1
    assert not (project.path / "one").exists()
    assert "side 3\n" in project.text("a")
    assert parent_of(cli, "side") == cli.ok("rev-parse", "main").out.strip()


def test_changes_that_are_there_already_are_left_out(cli: CommandLine, project: Project) -> None:
    cli.ok("switch", "main")
    cli.ok("cherry-pick", "side")
    project.commit("on top of it", a=project.text("a").replace("side 3\n", "other\n"))
    cli.ok("switch", "side")
    result = cli.ok("rebase", "main", "--json").json
    assert len(result["upstream_has"]) == 1
    assert len(result["done"]) == 1
    assert "other\n" in project.text("a")


def test_merges_are_left_out(cli: CommandLine, project: Project) -> None:
    cli.ok("merge", "main")
    project.commit("side 3", three="3")
    cli.ok("switch", "main")
    project.commit("main 2", m2="m2")
    cli.ok("switch", "side")
    result = cli.ok("rebase", "main", "--json").json
    assert len(result["done"]) == 3
    assert project.text("three") == "3"


def stop(cli: CommandLine, project: Project) -> None:
    cli.ok("switch", "main")
    project.commit("main 2", a=LINES.replace("line 3\n", "main 3\n"))
    cli.ok("switch", "side")
    project.commit("side 3", three="3")
    answer = cli("rebase", "main")
    assert answer.code == 13
    assert "CONFLICT (content): a" in answer.out


def test_a_conflict_stops_and_goes_on(cli: CommandLine, project: Project) -> None:
    stop(cli, project)
    assert cli.ok("status", "--json").json["under_way"] == "rebase"
    assert cli.ok("status", "--json").json["branch"] is None
    assert cli("rebase", "main").code == 3
    (project.path / "a").write_text("settled\n")
    cli.ok("resolve", "a")
    result = cli.ok("rebase", "--continue", "--json").json
    assert result["branch"] == "side"
    assert len(result["done"]) == 2
    assert cli.ok("cat", "side~1:a").out == "settled\n"
    assert cli.ok("cat", "side:three").out == "3"
    assert cli.ok("status", "-s").out == ""
    assert cli.ok("rev-parse", "side~3").out == cli.ok("rev-parse", "main").out


def test_skipping_a_commit(cli: CommandLine, project: Project) -> None:
    stop(cli, project)
    cli.ok("rebase", "--skip")
    assert "main 3\n" in project.text("a")
    assert project.text("three") == "3"
    assert cli.ok("status", "--json").json["branch"] == "side"


def test_aborting_restores_everything(cli: CommandLine, project: Project) -> None:
    stop(cli, project)
    (project.path / "dirty").write_text("mine")
    before = cli.ok("rev-parse", "side").out
    cli.ok("rebase", "--abort")
    assert cli.ok("rev-parse", "HEAD").out == before
    assert cli.ok("status", "--json").json["branch"] == "side"
    assert not (project.path / "m").exists()
    assert "side 3\n" in project.text("a")
    assert cli.ok("status", "-s").out == "?? dirty\n"


def test_autostash_puts_changes_aside(cli: CommandLine, project: Project) -> None:
    cli.ok("switch", "main")
    project.commit("main 2", a=LINES.replace("line 0\n", "main 0\n"))
    cli.ok("switch", "side")
    (project.path / "a").write_text(project.text("a").replace("line 6\n", "mine 6\n"))
    assert cli("rebase", "main").code == 3
    answer = cli.ok("rebase", "--autostash", "main")
    assert "Applied the changes" in answer.err
    text = project.text("a")
    assert all(word in text for word in ("main 0\n", "side 3\n", "mine 6\n"))
    assert cli.ok("stash", "list").out == ""
    assert cli.ok("status", "-s").out == " M a\n"


def state(cli: CommandLine, project: Project) -> tuple[str, ...]:
    words = ("status", "-s"), ("stash", "list"), ("rev-parse", "HEAD"), ("branch",)
    return (*(cli.ok(*line).out for line in words), project.text("a"), str((project.path / "m").exists()))


@pytest.fixture
def changed(cli: CommandLine, project: Project) -> Project:
    """With changes that a rebase onto main meets, a file that was added, and a new one."""
    cli.ok("switch", "main")
    project.commit("main 2", a=LINES.replace("line 0\n", "main 0\n"))
    cli.ok("switch", "side")
    (project.path / "a").write_text(project.text("a").replace("line 6\n", "mine 6\n"))
    (project.path / "new").write_text("n")
    (project.path / "known").write_text("k")
    cli.ok("add", "known")
    return project


def test_one_undo_takes_a_rebase_with_autostash_back(cli: CommandLine, changed: Project) -> None:
    before = state(cli, changed)
    cli.ok("rebase", "--autostash", "main")
    after = state(cli, changed)
    assert "rebase: side onto main" in cli.ok("undo").err
    assert state(cli, changed) == before
    cli.ok("redo")
    assert state(cli, changed) == after
    cli.ok("undo")
    assert state(cli, changed) == before
    assert "add: known" in cli.ok("undo").err
    assert cli.ok("status", "-s").out == " M a\n?? known\n?? new\n"
    cli.ok("redo")
    cli.ok("redo")
    assert state(cli, changed) == after


def test_undoing_a_rebase_with_autostash_refuses_over_later_changes(cli: CommandLine, changed: Project) -> None:
    cli.ok("rebase", "--autostash", "main")
    (changed.path / "a").write_text("later\n")
    after = state(cli, changed)
    assert cli("undo").code == 3
    assert state(cli, changed) == after


def test_undo_where_the_changes_put_aside_meet_conflicts(cli: CommandLine, changed: Project) -> None:
    (changed.path / "a").write_text(changed.text("a").replace("line 0\n", "mine 0\n"))
    before = state(cli, changed)
    assert "applied with conflicts" in cli.ok("rebase", "--autostash", "main").err
    assert "UU a\n" in cli.ok("status", "-s").out
    cli.ok("undo")
    assert state(cli, changed) == before


def test_undo_of_a_rebase_with_autostash_that_stopped(cli: CommandLine, changed: Project) -> None:
    cli.ok("stash")
    cli.ok("switch", "main")
    changed.commit("main 3", a=changed.text("a").replace("line 3\n", "main 3\n"))
    cli.ok("switch", "side")
    cli.ok("stash", "pop")
    before = state(cli, changed)
    assert cli("rebase", "--autostash", "main").code == 13
    stopped = state(cli, changed)
    cli.ok("undo")
    assert state(cli, changed) == before
    cli.ok("redo")
    assert state(cli, changed) == stopped
    cli.ok("rebase", "--abort")
    assert state(cli, changed) == before
    cli.ok("undo")
    assert state(cli, changed) == stopped
    cli.ok("undo")
    assert state(cli, changed) == before


def test_one_undo_takes_back_what_went_on_after_a_conflict(cli: CommandLine, project: Project) -> None:
    stop(cli, project)
    (project.path / "a").write_text("settled\n")
    cli.ok("resolve", "a")
    settled = state(cli, project)
    assert "rebase: side --continue" in cli.ok("rebase", "--continue").err + cli.ok("op", "show").out
    after = state(cli, project)
    undone = cli.ok("undo").err
    assert "rebase: side --continue" in undone
    assert state(cli, project) == settled
    assert cli.ok("status", "--json").json["under_way"] == "rebase"
    cli.ok("redo")
    assert state(cli, project) == after


def test_an_undo_names_branches_and_no_refs_of_its_own(cli: CommandLine, changed: Project) -> None:
    cli.ok("rebase", "--autostash", "main")
    names = {line.split(":")[0].strip() for line in cli.ok("undo").err.splitlines()[1:]}
    assert names == {"side"}
