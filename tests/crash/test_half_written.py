"""What is said of files that a command left half-way, when it was killed or interrupted."""

import os

import pytest
from mortal import Project, apart

SAID = "What was broken off while it wrote files was "


@pytest.fixture
def project(tmp_path):
    made = Project(tmp_path / "project")
    made.folder.mkdir()
    made.ok("init", "-q")
    for n in range(9):
        (made.folder / f"f{n}").write_text("main\n")
    made.ok("commit", "-qm", "on main")
    made.ok("switch", "-q", "-c", "other")
    for n in range(9):
        (made.folder / f"f{n}").write_text("on other\n")
    made.ok("commit", "-qm", "on other")
    made.ok("switch", "-q", "main")
    return made


def test_the_next_command_says_what_became_of_it(project):
    said = set()
    for number in range(2, 400, 3):
        _, killed = project.try_to_run(("switch", "other"), at_call=number)
        if not killed:
            break
        half = (project.folder / ".dsvc" / "worktree" / "journal").exists()
        answer = project.run("status", "-s")
        assert (SAID in answer.err) == half
        said.add(answer.err.removeprefix(SAID).strip())
        assert SAID not in project.run("status").err
        project.ok("switch", "-q", "main")
    assert said == {"", "taken back", "finished"}


def test_an_interrupt_says_that_files_are_half_way(project):
    def work():
        rename, count = os.rename, 0

        def interrupted(*arguments, **named):
            nonlocal count
            count += str(arguments[1]).rpartition("/")[2].strip("b'").startswith("f")
            if count == 5:
                raise KeyboardInterrupt
            return rename(*arguments, **named)

        os.rename = os.replace = interrupted
        return project.here("switch", "other")

    answer, _ = apart(work)
    assert answer.code == 130
    assert "hint: some files are written and some are not: the next command, such as 'dsvc status'" in answer.err
    assert SAID + "taken back" in project.run("status").err
    assert {path.read_text() for path in project.folder.glob("f*")} == {"main\n"}
