"""The frame of the command line, as people and scripts meet it."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from dsvc import __version__


def program(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_version_is_one_line(cli):
    assert cli("--version").out == f"dsvc {__version__}\n"
    assert cli("version").out.splitlines()[0] == f"dsvc {__version__}"
    assert cli("version", "--json").json["schema"] == "dsvc.version"


def test_version_imports_nothing_slow():
    script = (
        "import sys\n"
        "sys.argv = ['dsvc', '--version']\n"
        "from dsvc.commands.entry import main\n"
        "try:\n    main()\nexcept SystemExit as leaving:\n    assert leaving.code == 0\n"
        "print(*sorted(sys.modules), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    modules = set(done.stderr.split())
    slow = {
        "rich", "pydantic", "pygit2", "zstandard", "msgpack", "blake3", "pyfastcdc", "pathspec", "tomlkit", "tomllib",
        "boto3", "numpy", "asyncio", "email", "hashlib", "tempfile", "sqlite3", "urllib.request", "typer.rich_utils",
        "importlib.metadata",
    }  # fmt: skip
    assert not modules & slow
    assert {name for name in modules if name.startswith("dsvc")} <= {
        "dsvc",
        "dsvc.errors",
        "dsvc.commands",
        "dsvc.commands.application",
        "dsvc.commands.coercion",
        "dsvc.commands.context",
        "dsvc.commands.entry",
        "dsvc.commands.exit_codes",
        "dsvc.commands.help_page",
    "dsvc.commands.interpreter",
        "dsvc.commands.output",
        "dsvc.commands.registry",
        "dsvc.commands.short_way",
        "dsvc.commands.verb",
        "dsvc.commands.width",
        "dsvc.version",
    }


def test_a_verb_imports_only_itself_and_no_pydantic():
    script = (
        "import sys\n"
        "sys.argv = ['dsvc', '-c', 'a.b=1', 'config', 'a.b']\n"
        "from dsvc.commands.entry import main\n"
        "try:\n    main()\nexcept SystemExit as leaving:\n    assert leaving.code == 0\n"
        "print(*sorted(sys.modules), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"
    assert not set(done.stderr.split()) & {"pydantic", "rich", "tomlkit", "dsvc.commands.version", "pygit2"}


def test_help_lists_present_verbs_by_section(cli):
    page = cli("--help")
    assert page.code == 0
    assert page.out.startswith("Usage: dsvc [OPTIONS] COMMAND [ARGUMENTS]\n")
    assert "\nKeep in order:\n" in page.out
    assert "\n  config        Read and change settings\n" in page.out
    assert "rich" not in page.out
    assert cli("-h").out == cli("help").out == page.out
    assert cli("help", "config").out == cli("config", "--help").out
    assert cli("help", "op", "log").out == cli("op", "log", "--help").out


def test_help_fits_a_narrow_terminal(cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    wide = cli("log", "--help").out
    assert max(map(len, wide.splitlines())) > 60
    cli.terminal = True
    for words in (["--help"], ["log", "--help"], ["bundle", "--help"]):
        assert max(map(len, cli.ok("--no-pager", *words).out.splitlines())) <= 60
    monkeypatch.setenv("COLUMNS", "300")
    assert cli.ok("--no-pager", "log", "--help").out == wide


def test_no_command_shows_the_help_and_is_a_usage_error(cli):
    bare = cli()
    assert bare.code == 2
    assert bare.out == cli("--help").out


def test_unknown_verb_says_which_was_meant(cli):
    answer = cli("confgi")
    assert answer.code == 2
    assert answer.out == ""
    assert answer.err == (
        "dsvc: 'confgi' is not a dsvc command. Did you mean 'config'?\nhint: 'dsvc --help' lists the commands\n"
    )
    assert cli("qqqq").err.splitlines()[0] == "dsvc: 'qqqq' is not a dsvc command"


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["config", "--show-orign"], "no such option: --show-orign", "did you mean --show-origin?"),
        (["config", "a.b", "c", "d"], "got unexpected extra argument(s) (d)", "see 'dsvc config --help'"),
        (["--colour", "always"], "no such option: --colour", "did you mean --color?"),
        (["--color", "pink", "version"], "invalid value for '--color': 'pink' is not one of", "see 'dsvc --help'"),
        (["-C", "nowhere", "version"], "cannot go to nowhere: No such file or directory", "-C takes a folder"),
    ],
)
def test_wrong_command_lines(cli, words, message, hint):
    answer = cli(*words)
    assert answer.code == (3 if "-C" in words else 2)
    first, second = answer.err.splitlines()
    assert first.startswith(f"dsvc: {message}")
    assert second.startswith(f"hint: {hint}")


def test_errors_as_json_stand_on_stderr(cli):
    answer = cli("config", "--json", "user.nme")
    assert answer.code == 1
    assert answer.out == ""
    assert answer.error_json == {
        "schema": "dsvc.error",
        "version": 1,
        "kind": "KeyNotSet",
        "message": "user.nme is not set",
        "hint": "did you mean user.name?",
        "exit_code": 1,
        "details": {},
    }
    assert cli("config", "--json", "--lst").error_json["exit_code"] == 2


def test_C_changes_the_folder_for_one_command_only(cli):
    before = Path.cwd()
    (cli.directory / "sub" / ".dsvc").mkdir(parents=True)
    cli.ok("-C", "sub", "config", "a.b", "1")
    assert (cli.directory / "sub" / ".dsvc" / "config.toml").read_text() == "[a]\nb = 1\n"
    assert Path.cwd() == before


def test_program_on_the_path_is_a_command(cli, tmp_path, capfd):
    program(tmp_path / "dsvc-hello", '#!/bin/sh\necho "hello $*"\nexit 7\n')
    cli.environment["PATH"] += os.pathsep + str(tmp_path)
    assert cli("hello", "--loud", "x").code == 7
    assert capfd.readouterr().out == "hello --loud x\n"


def test_alias(cli, capfd):
    cli.ok("config", "--user", "alias.dc", "config diff.context")
    cli.ok("config", "--user", "alias.dd", "dc")
    cli.ok("config", "--user", "alias.sh", '!echo "$PWD"')
    cli.ok("config", "--user", "alias.loop", "pool -x")
    cli.ok("config", "--user", "alias.pool", "loop")
    cli.ok("config", "--user", "alias.version", "config")
    assert cli.ok("dc").out == "3\n"
    assert cli.ok("-c", "diff.context=5", "dd").out == "5\n"
    assert cli.ok("version").out.startswith("dsvc ")
    assert cli("sh", "a b").code == 0
    assert capfd.readouterr().out == f"{cli.directory} a b\n"
    assert cli("loop").err == (
        "dsvc: the alias 'loop' leads back to itself: loop -> pool -> loop\nhint: dsvc config --unset alias.loop\n"
    )


def test_alias_that_cannot_be_read(cli):
    assert "alias.x cannot be read" in cli("-c", 'alias.x=config "', "x").err
    assert "alias.x does not begin with a command" in cli("-c", "alias.x=--json", "x").err


def test_a_reader_that_leaves_early_is_no_error(cli, tmp_path):
    (cli.directory / ".dsvc").mkdir()
    (cli.directory / ".dsvc" / "config.toml").write_text("[a]\n" + "".join(f"k{n} = {n}\n" for n in range(20000)))
    line = f"{sys.executable} -m dsvc config --list | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", line], cwd=cli.directory, env=cli.environment, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert done.stdout == "a.k0=0\n141\n"


def test_ctrl_c_ends_with_130(cli):
    cli.environment["DSVC_EDITOR"] = "kill -INT $PPID; sleep 0.2; true"
    done = subprocess.run(
        [sys.executable, "-m", "dsvc", "config", "--user", "--edit"],
        cwd=cli.directory,
        env=cli.environment,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "dsvc: interrupted\n")


@pytest.mark.parametrize("words", [["--help"], ["grep", "x"]])  # less than a buffer holds, and more
def test_no_traceback_for_a_full_disk(cli, words):
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    cli.ok("init")
    (cli.directory / "a.txt").write_text("x" * 70 + "\n" + "x\n" * 50_000)
    cli.ok("add", "a.txt")
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "dsvc", *words],
            cwd=cli.directory,
            env={**os.environ, **cli.environment},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 3
    assert done.stderr.startswith("dsvc: no space is left on the disk\nhint: ")
    assert len(done.stderr.splitlines()) == 2


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"])
def test_closed_streams_are_no_bug(closed):
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m dsvc --version {closed}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert done.stderr == ""


def test_a_folder_that_is_gone(tmp_path):
    line = f"mkdir gone && cd gone && rmdir ../gone && {sys.executable} -m dsvc config --list"
    done = subprocess.run(["sh", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert done.stderr == "dsvc: the current folder does not exist any more\nhint: go to another with 'cd'\n"


@pytest.mark.parametrize(("verb", "instead"), [("ls-files", "dsvc ls -r"), ("lfs", "commit")])
def test_verbs_of_git_name_what_to_use(cli, verb, instead):
    answer = cli(verb)
    assert answer.code == 2
    assert instead in answer.err.splitlines()[1]
    assert "Did you mean" not in answer.err


def test_init_is_quiet_when_asked(cli):
    answer = cli.ok("init", "-q")
    assert (answer.out, answer.err) == ("", "")


def test_an_option_without_its_value_names_the_help_page_of_its_verb(cli) -> None:
    cli.ok("init")
    answer = cli("commit", "-m")
    assert answer.code == 2
    assert "see 'dsvc commit --help'" in answer.err


@pytest.mark.parametrize("text", ["#!/nowhere\n", "no first line that says what runs it\n"])
def test_a_program_that_cannot_be_run_is_no_bug(cli, tmp_path, text):
    found = program(tmp_path / "dsvc-broken", text)
    cli.environment["PATH"] = f"{tmp_path}{os.pathsep}{cli.environment['PATH']}"
    answer = cli("broken")
    assert answer.code == 3
    assert answer.err.startswith(f"dsvc: {found} cannot be run: ")
