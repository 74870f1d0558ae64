from __future__ import annotations

import os

import pytest

from tests.commands.conftest import CommandLine

LINES = "".join(f"line {n}\n" for n in range(20))


class Project:
    """A project with files on the branches main and side, which both begin at one commit."""

    def __init__(self, cli: CommandLine) -> None:
        self.cli = cli
        self.path = cli.directory
        cli.ok("init")

    def write(self, files: dict[str, str | bytes | None]) -> None:
        for name, content in files.items():
            path = self.path / name
            if content is None:
                path.unlink()
                if path.parent != self.path and not any(path.parent.iterdir()):
                    path.parent.rmdir()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def commit(self, message: str, files: dict[str, str | bytes | None]) -> None:
        self.write(files)
        self.cli.ok("commit", "-m", message, "--allow-empty")

    def diverge(
        self,
        base: dict[str, str | bytes | None],
        ours: dict[str, str | bytes | None],
        theirs: dict[str, str | bytes | None],
    ) -> None:
        self.commit("base", base)
        self.cli.ok("switch", "-c", "side")
        self.commit("theirs", theirs)
        self.cli.ok("switch", "main")
        self.commit("ours", ours)

    def files(self) -> dict[str, bytes]:
        found = {}
        for path in sorted(self.path.rglob("*")):
            name = str(path.relative_to(self.path))
            if path.is_file() and not name.startswith(".dsvc"):
                found[name] = path.read_bytes()
        return found

    def text(self, name: str) -> str:
        return (self.path / name).read_text()

    def parents(self) -> int:
        for number in range(1, 9):
            if self.cli("rev-parse", f"HEAD^{number}").code:
                return number - 1
        return 9


@pytest.fixture
def project(cli: CommandLine) -> Project:
    return Project(cli)


def test_fast_forward_and_up_to_date(cli: CommandLine, project: Project) -> None:
    project.commit("base", {"a": "1"})
    cli.ok("switch", "-c", "side")
    project.commit("more", {"a": "2", "d/b": "b"})
    cli.ok("switch", "main")
    assert cli.ok("merge", "--ff-only", "side", "--json").json["result"] == "fast-forward"
    assert project.files() == {"a": b"2", "d/b": b"b"}
    assert project.parents() == 1
    assert "Already up to date" in cli.ok("merge", "side").err


def test_no_ff_makes_a_commit_with_two_parents(cli: CommandLine, project: Project) -> None:
    project.commit("base", {"a": "1"})
    cli.ok("switch", "-c", "side")
    project.commit("more", {"a": "2"})
    cli.ok("switch", "main")
    cli.ok("merge", "--no-ff", "side")
    assert project.parents() == 2
    assert cli.ok("op", "show", "--json").json["verb"] == "merge"


def test_diverged_branches_refuse_a_fast_forward(cli: CommandLine, project: Project) -> None:
    project.diverge({"a": "1"}, {"b": "b"}, {"c": "c"})
    answer = cli("merge", "--ff-only", "side")
    assert answer.code == 12
    assert "dsvc rebase side" in answer.err
    assert project.files() == {"a": b"1", "b": b"b"}


def test_changes_of_both_sides_come_together(cli: CommandLine, project: Project) -> None:
    ours, theirs = LINES.replace("line 1\n", "OURS\n"), LINES.replace("line 18\n", "THEIRS\n")
    project.diverge({"a": LINES}, {"a": ours, "ours": "o"}, {"a": theirs, "theirs": "t"})
    cli.ok("merge", "side", "-m", "both")
    assert project.text("a") == ours.replace("line 18\n", "THEIRS\n")
    assert project.parents() == 2
    assert cli.ok("status", "-s").out == ""
    cli.ok("undo")
    assert project.files() == {"a": ours.encode(), "ours": b"o"}
    cli.ok("redo")
    assert "theirs" in project.files()


def test_a_conflict_keeps_three_sides_until_it_is_settled(cli: CommandLine, project: Project) -> None:
    project.diverge({"a": "base\n", "b": "1"}, {"a": "ours\n"}, {"a": "theirs\n", "b": "2"})
    answer = cli("merge", "side")
    assert answer.code == 13
    assert "CONFLICT (content): a" in answer.out
    assert "dsvc resolve" in answer.err
    assert project.text("a") == "<<<<<<< HEAD\nours\n=======\ntheirs\n>>>>>>> side\n"
    (conflict,) = cli.ok("resolve", "--json").json["left"]
    for side, content in (("base", "base\n"), ("ours", "ours\n"), ("theirs", "theirs\n")):
        assert conflict[side]["size"] == len(content)
    assert "UU a" in cli.ok("status", "-s").out
    assert cli("commit", "-m", "x").code == 13
    assert cli("merge", "--continue").code == 13
    assert cli("merge", "side").code == 3
    assert cli("switch", "side").code == 3
    answer = cli("resolve", "a")
    assert answer.code == 3
    assert "conflict markers" in answer.err
    project.write({"a": "both\n"})
    cli.ok("resolve", "a")
    assert cli.ok("resolve").out == ""
    cli.ok("merge", "--continue")
    assert project.parents() == 2
    assert cli.ok("cat", "HEAD:a").out == "both\n"
    assert cli.ok("cat", "HEAD:b").out == "2"
    assert cli.ok("status", "-s").out == ""


def test_status_says_in_gits_letters_what_each_side_did(cli: CommandLine, project: Project) -> None:
    base = {"both": "1\n", "mine": "1\n", "theirs": "1\n"}
    project.diverge(
        base,
        {"both": "2\n", "mine": "2\n", "theirs": None, "new": "2\n"},
        {"both": "3\n", "mine": None, "theirs": "3\n", "new": "3\n"},
    )
    assert cli("merge", "side").code == 13
    assert cli.ok("status", "--porcelain").out == "UU both\nUD mine\nAA new\nDU theirs\n"


@pytest.mark.parametrize("side", ["ours", "theirs", "base"])
def test_resolve_takes_a_side_and_commit_ends_the_merge(cli: CommandLine, project: Project, side: str) -> None:
    project.diverge({"d/a": "base\n"}, {"d/a": "ours\n"}, {"d/a": "theirs\n"})
    assert cli("merge", "side").code == 13
    cli.ok("resolve", f"--{side}", "d")
    assert project.text("d/a") == f"{side}\n"
    cli.ok("undo")
    assert "<<<<<<<" in project.text("d/a")
    assert "UU d/a" in cli.ok("status", "-s").out
    cli.ok("resolve", f"--{side}", "--all")
    cli.ok("commit", "-m", "done")
    assert project.parents() == 2


def test_diff3_style_comes_from_the_configuration(cli: CommandLine, project: Project) -> None:
    cli.ok("config", "merge.conflictStyle", "diff3")
    project.diverge({"a": "base\n"}, {"a": "ours\n"}, {"a": "theirs\n"})
    assert cli("merge", "side").code == 13
    assert "\n||||||| " in project.text("a")
    assert "\nbase\n" in project.text("a")


@pytest.mark.parametrize("side", ["ours", "theirs"])
def test_an_option_settles_conflicts_for_a_side(cli: CommandLine, project: Project, side: str) -> None:
    binary = {name: name.encode() + b"\0" for name in ("base", "ours", "theirs")}
    project.diverge(
        {"a": LINES, "b": binary["base"]},
        {"a": LINES.replace("line 3\n", "ours\n"), "b": binary["ours"]},
        {"a": LINES.replace("line 3\n", "theirs\n").replace("line 15\n", "more\n"), "b": binary["theirs"]},
    )
    cli.ok("merge", "-X", side, "side")
    assert project.text("a") == LINES.replace("line 3\n", f"{side}\n").replace("line 15\n", "more\n")
    assert project.files()["b"] == binary[side]


def test_squash_takes_the_changes_without_the_history(cli: CommandLine, project: Project) -> None:
    project.diverge({"a": "1"}, {"b": "b"}, {"c": "c"})
    cli.ok("merge", "--squash", "side")
    assert project.files() == {"a": b"1", "b": b"b", "c": b"c"}
    cli.ok("commit", "--no-edit")
    assert project.parents() == 1
    assert cli.ok("cat", "HEAD:c").out == "c"


def test_no_commit_stops_before_the_commit(cli: CommandLine, project: Project) -> None:
    project.diverge({"a": "1"}, {"b": "b"}, {"c": "c"})
    cli.ok("merge", "--no-commit", "side")
    assert cli("cat", "HEAD:c").code == 3
    cli.ok("merge", "--abort")
    assert project.files() == {"a": b"1", "b": b"b"}


def test_abort_restores_what_was_there_and_leaves_the_rest(cli: CommandLine, project: Project) -> None:
    project.diverge(
        {"a": "base\n", "kept": "1", "gone": "g", "d/x": "x"},
        {"a": "ours\n"},
        {"a": "theirs\n", "gone": None, "d/x": None, "new/deep": "n", "bin": b"\0"},
    )
    project.write({"kept": "changed before", "untracked": "u", "folder/untracked": "v"})
    cli.ok("add", "folder")
    before = project.files()
    status = cli.ok("status", "-s").out
    assert cli("merge", "side").code == 13
    assert not (project.path / "gone").exists()
    project.write({"a": "half done", "gone": "again, by hand", "notes": "made meanwhile"})
    cli.ok("merge", "--abort")
    assert project.files() == {**before, "notes": b"made meanwhile"}
    assert not (project.path / "new").exists()
    (project.path / "notes").unlink()
    assert cli.ok("status", "-s").out == status
    assert cli("merge", "--abort").code == 3
    cli.ok("undo")
    assert project.text("a") == "half done"
    assert project.text("gone") == "again, by hand"
    assert "UU a" in cli.ok("status", "-s").out


def test_what_was_changed_before_stays_out_of_the_merge(cli: CommandLine, project: Project) -> None:
    project.diverge({"a": "base\n", "kept": "1"}, {"a": "ours\n"}, {"a": "theirs\n"})
    project.write({"kept": "changed before", "untracked": "u"})
    assert cli("merge", "side").code == 13
    cli.ok("resolve", "--ours", "a")
    project.write({"fix": "needed for the merge"})
    cli.ok("merge", "--continue")
    assert cli.ok("cat", "HEAD:kept").out == "1"
    assert cli("cat", "HEAD:untracked").code == 3
    assert cli.ok("cat", "HEAD:fix").out == "needed for the merge"
    assert project.text("kept") == "changed before"
    assert "kept" in cli.ok("status", "-s").out


def test_a_side_can_be_chosen_once_more_after_undo(cli: CommandLine, project: Project) -> None:
    project.diverge({"a": "base\n", "b": "base\n"}, {"a": "ours\n", "b": "o"}, {"a": "theirs\n", "b": "t"})
    assert cli("merge", "side").code == 13
    cli.ok("resolve", "--theirs", "a")
    answer = cli("resolve", "--ours", "a")
    assert answer.err.startswith("dsvc: a is settled already\nhint: dsvc undo brings the conflict back")
    cli.ok("undo")
    cli.ok("resolve", "--ours", "a")
    assert project.text("a") == "ours\n"


@pytest.mark.parametrize("verb", ["merge", "cherry-pick"])
def test_what_was_new_before_is_new_after_the_merge(cli: CommandLine, project: Project, verb: str) -> None:
    project.diverge({"a": "base\n"}, {"a": "ours\n"}, {"a": "theirs\n", "b": "b"})
    project.write({"added": "1", "new": "2", "folder/new": "3"})
    cli.ok("add", "added")
    status = cli.ok("status", "-s").out
    assert status.splitlines() == ["A  added", "?? folder/", "?? new"]
    assert cli(verb, "side").code == 13
    cli.ok("resolve", "--theirs", "a")
    cli.ok(verb, "--continue")
    assert cli.ok("status", "-s").out == status
    cli.ok("undo")
    cli.ok("redo")
    assert cli.ok("status", "-s").out == status
    cli.ok("commit", "-m", "the rest")
    assert cli.ok("cat", "HEAD:folder/new").out == "3"


def test_changed_and_new_files_in_the_way_are_refused(cli: CommandLine, project: Project) -> None:
    project.diverge({"a": "1\n"}, {"b": "b"}, {"a": "2\n", "new": "n", "folder/x": "x"})
    project.write({"a": "mine", "new": "mine", "folder": "mine"})
    before = project.files()
    answer = cli("merge", "side")
    assert answer.code == 3
    for name in ("a", "new", "folder"):
        assert f"\n  {name}: " in answer.err
    assert project.files() == before
    assert cli.ok("status", "--json").json["under_way"] is None


def test_a_changed_file_in_conflict_is_refused_though_the_merge_keeps_ours(cli: CommandLine, project: Project) -> None:
    project.diverge({"m": b"\0base"}, {"m": b"\0ours"}, {"m": b"\0theirs"})
    project.write({"m": b"\0mine"})
    answer = cli("merge", "side")
    assert answer.code == 3
    assert "m: changed since the last commit, and in conflict" in answer.err
    assert project.files() == {"m": b"\0mine"}
    assert cli.ok("status", "--json").json["under_way"] is None


def test_renamed_and_edited_files_follow(cli: CommandLine, project: Project) -> None:
    project.diverge(
        {"a": LINES, "lib/one": "1" * 99, "lib/two": "2" * 99},
        {"a": None, "b": LINES, "lib/one": None, "lib/two": None, "src/one": "1" * 99, "src/two": "2" * 99},
        {"a": LINES.replace("line 5\n", "edited\n"), "lib/three": "3"},
    )
    answer = cli.ok("merge", "side")
    assert "followed" in answer.err
    assert project.text("b") == LINES.replace("line 5\n", "edited\n")
    assert set(project.files()) == {"b", "src/one", "src/two", "src/three"}


def test_a_file_renamed_on_both_sides(cli: CommandLine, project: Project) -> None:
    project.diverge({"a": LINES}, {"a": None, "b": LINES}, {"a": None, "c": LINES})
    assert cli("merge", "side").code == 13
    cli.ok("resolve", "--theirs", "b")
    assert set(project.files()) == {"c"}


@pytest.mark.parametrize(("side", "left"), [("ours", {"a": b"changed\n"}), ("theirs", {})])
def test_modify_and_delete(cli: CommandLine, project: Project, side: str, left: dict[str, bytes]) -> None:
    project.diverge({"a": "base\n", "z": "z"}, {"a": "changed\n"}, {"a": None})
    answer = cli("merge", "side")
    assert answer.code == 13
    assert "CONFLICT (modify/delete): a: deleted by them" in answer.out
    assert project.text("a") == "changed\n"
    cli.ok("resolve", f"--{side}", "a")
    assert project.files() == {**left, "z": b"z"}
    cli.ok("commit", "--no-edit")
    assert project.parents() == 2


def test_binary_files_are_kept_beside_each_other(cli: CommandLine, project: Project) -> None:
    project.diverge({"m": b"\0base"}, {"m": b"\0ours"}, {"m": b"\0theirs"})
    answer = cli("merge", "side")
    assert answer.code == 13
    assert "CONFLICT (binary): m (see m~side)" in answer.out
    assert project.files() == {"m": b"\0ours", "m~side": b"\0theirs"}
    cli.ok("resolve", "m")
    assert project.files() == {"m": b"\0ours"}
    cli.ok("undo")
    cli.ok("resolve", "--theirs", "m")
    assert project.files() == {"m": b"\0theirs"}


FOLDERS = {
    "a new folder": ({"new/mine": "m", "new/deep/mine": "m"}, {"new/theirs": "t", "new/deep/theirs": "t"}),
    "an empty one": ({}, {"empty/theirs": "t"}),
    "one that was removed": ({"gone/1": None, "gone/2": None}, {"gone/theirs": "t"}),
}


@pytest.mark.parametrize("case", FOLDERS)
def test_a_merge_into_a_folder_that_was_changed(cli: CommandLine, project: Project, case: str) -> None:
    """What comes into a folder is the merge's, and what was done in it before is not."""
    changed, brought = FOLDERS[case]
    project.diverge({"f": "1", "gone/1": "g", "gone/2": "g"}, {"f": "2"}, {"f": "3", **brought})
    project.write(changed)
    if not changed:
        (project.path / "empty").mkdir()
    before, status = project.files(), cli.ok("status", "--json").json
    assert cli("merge", "side").code == 13
    cli.ok("merge", "--abort")
    assert project.files() == before
    assert cli.ok("status", "--json").json == status if changed else (project.path / "empty").is_dir()

    assert cli("merge", "side").code == 13
    cli.ok("resolve", "--ours", "f")
    cli.ok("merge", "--continue")
    names = set(cli.ok("ls", "-r", "HEAD").out.split())
    assert set(brought) <= names
    assert {"gone/1", "gone/2"} <= names
    assert not names & {name for name, content in changed.items() if content is not None}


def test_aborting_leaves_what_was_changed_before_to_the_same(cli: CommandLine, project: Project) -> None:
    project.diverge({"a": "1\n", "same": "1", "d/gone": "g"}, {"a": "2\n"}, {"a": "3\n", "same": "2", "d/gone": None})
    project.write({"same": "2", "d/gone": None})
    before = project.files()
    assert cli("merge", "side").code == 13
    cli.ok("merge", "--abort")
    assert project.files() == before
    assert not (project.path / "d").exists()
    assert cli.ok("status", "-s").out == " D d/gone\n M same\n"


def test_aborting_puts_back_what_was_settled_too(cli: CommandLine, project: Project) -> None:
    project.diverge({"m": b"\0base", "n": b"\0base"}, {"m": b"\0ours", "n": b"\0ours"}, {"m": b"\0new", "n": b"\0new"})
    assert cli("merge", "side").code == 13
    cli.ok("resolve", "--theirs", "m")
    project.write({"n": b"by hand"})
    cli.ok("resolve", "n")
    cli.ok("merge", "--abort")
    assert project.files() == {"m": b"\0ours", "n": b"\0ours"}


def test_a_changed_copy_beside_a_file_stays(cli: CommandLine, project: Project) -> None:
    project.diverge({"m": b"\0base"}, {"m": b"\0ours"}, {"m": b"\0theirs"})
    assert cli("merge", "side").code == 13
    project.write({"m~side": b"mine"})
    cli.ok("resolve", "m")
    assert project.files() == {"m": b"\0ours", "m~side": b"mine"}


def test_directory_against_file(cli: CommandLine, project: Project) -> None:
    project.diverge({"z": "z"}, {"a": "a file"}, {"a/inside": "in a folder"})
    answer = cli("merge", "side")
    assert answer.code == 13
    assert project.files() == {"a~HEAD": b"a file", "a/inside": b"in a folder", "z": b"z"}
    assert cli("resolve", "--ours", "a").code == 3
    cli.ok("resolve", "a")
    cli.ok("merge", "--continue")
    assert cli.ok("cat", "HEAD:a/inside").out == "in a folder"
    cli.ok("undo")
    cli.ok("merge", "--abort")
    assert project.files() == {"a": b"a file", "z": b"z"}


def test_criss_cross_histories(cli: CommandLine, project: Project) -> None:
    project.diverge({"a": LINES}, {"a": "first\n" + LINES}, {"a": LINES + "last\n"})
    cli.ok("tag", "ours")
    cli.ok("merge", "side")
    cli.ok("switch", "side")
    cli.ok("merge", "ours")
    project.commit("their more", {"a": project.text("a").replace("line 15\n", "THEIRS\n")})
    cli.ok("switch", "main")
    project.commit("our more", {"a": project.text("a").replace("line 3\n", "OURS\n")})
    bases = cli.ok("merge-base", "--all", "main", "side").out.split()
    assert len(bases) == 2
    cli.ok("merge", "side")
    wanted = ("first\n" + LINES + "last\n").replace("line 15\n", "THEIRS\n").replace("line 3\n", "OURS\n")
    assert project.text("a") == wanted


def test_modes_and_links(cli: CommandLine, project: Project) -> None:
    project.write({"run": "#!/bin/sh\n"})
    os.symlink("run", project.path / "link")
    project.commit("base", {"z": "z"})
    cli.ok("switch", "-c", "side")
    (project.path / "run").chmod(0o755)
    (project.path / "link").unlink()
    os.symlink("z", project.path / "link")
    project.commit("theirs", {})
    cli.ok("switch", "main")
    project.commit("ours", {"run": "#!/bin/sh\necho\n"})
    cli.ok("merge", "side")
    assert os.access(project.path / "run", os.X_OK)
    assert project.text("run") == "#!/bin/sh\necho\n"
    assert os.readlink(project.path / "link") == "z"


def test_what_cannot_be_merged(cli: CommandLine, project: Project) -> None:
    project.commit("one", {"a": "1"})
    assert cli("merge", "nowhere").code == 3
    assert cli("merge").code == 2
    assert cli("merge", "main", "main").code == 2


def test_an_identity_is_needed_before_anything_happens(cli: CommandLine, project: Project) -> None:
    project.diverge({"a": "1"}, {"b": "b"}, {"c": "c"})
    del cli.environment["DSVC_USER_NAME"]
    answer = cli("merge", "side")
    assert answer.code == 3
    assert project.files() == {"a": b"1", "b": b"b"}


def test_a_tool_settles_a_conflict(cli: CommandLine, project: Project) -> None:
    cli.ok("config", "merge.tool", 'cat "$BASE" "$LOCAL" "$REMOTE" > "$MERGED"')
    project.diverge({"a": "base\n"}, {"a": "ours\n"}, {"a": "theirs\n"})
    assert cli("merge", "side").code == 13
    cli.ok("resolve", "--tool")
    assert project.text("a") == "base\nours\ntheirs\n"
    cli.ok("merge", "--continue")


def test_what_was_added_and_not_committed_is_not_overwritten(cli: CommandLine, project: Project) -> None:
    project.diverge({"a": "1\n", "z": "z"}, {"b": "b"}, {"a": "2\n", "new": "theirs"})
    project.write({"a": "mine\n", "new": "mine"})
    cli.ok("add", "a", "new")
    answer = cli("merge", "side")
    assert answer.code == 3
    assert "\n  a: " in answer.err
    assert "\n  new: " in answer.err
    assert (project.text("a"), project.text("new")) == ("mine\n", "mine")


def test_a_hard_reset_ends_a_merge(cli: CommandLine, project: Project) -> None:
    project.diverge(
        {"m": b"\0base", "a": "1\n"},
        {"m": b"\0ours", "a": "2\n"},
        {"m": b"\0theirs", "a": "3\n", "n": "n"},
    )
    before = project.files()
    assert cli("merge", "side").code == 13
    assert cli("commit", "--amend", "-m", "x").code == 13
    assert cli("reset", "--soft", "HEAD").code == 3
    cli.ok("reset", "--hard")
    assert project.files() == before
    assert cli.ok("status", "--json").json["clean"]


def test_abort_after_the_files_were_thrown_about(cli: CommandLine, project: Project) -> None:
    project.diverge(
        {"d/a": "1\n", "e/b": "b", "f": "f"},
        {"d/a": "2\n", "x": "x"},
        {"d/a": "3\n", "e/b": None, "x": "y"},
    )
    before = project.files()
    assert cli("merge", "side").code == 13
    (project.path / "d" / "a").unlink()
    (project.path / "d").rmdir()
    project.write({"d": "a file now", "e": "and this", "f": None})
    cli.ok("merge", "--abort")
    assert project.files() == {name: content for name, content in before.items() if name != "f"}
    cli.ok("undo")
    assert (project.text("d"), project.text("e")) == ("a file now", "and this")


def test_undoing_a_merge_in_conflict_points_to_abort(cli: CommandLine, project: Project) -> None:
    project.diverge({"a": "1\n"}, {"a": "2\n"}, {"a": "3\n"})
    assert cli("merge", "side").code == 13
    cli.ok("undo")
    assert project.text("a") == "2\n"
    cli.ok("redo")
    project.write({"a": "half done\n"})
    answer = cli("undo")
    assert answer.code == 3
    assert "dsvc merge --abort" in answer.err


def test_it_says_what_changed_as_far_as_is_asked(history) -> None:
    cli = history.cli
    cli.ok("init", "-q")
    history.commit("base", {"a.txt": "a\n", "old.txt": "x" * 100})
    for number, words in enumerate((["--no-ff"], ["--no-ff", "-n"], ["--no-ff", "--stat"], [])):
        cli.ok("switch", "-q", "-c", f"side{number}")
        history.commit("side", {"a.txt": f"a\nb{number}\n"})
        cli.ok("mv", *(("old.txt", "new.txt") if number % 2 == 0 else ("new.txt", "old.txt")))
        history.commit("renamed")
        cli.ok("switch", "-q", "main")
        answer = cli.ok("merge", *words, f"side{number}")
        told = answer.err.splitlines()[1:]
        assert told == ([" 1 changed, 1 renamed"] if words in ([], ["--no-ff"]) else [])
        assert (" a.txt              | " in answer.out) == ("--stat" in words)
