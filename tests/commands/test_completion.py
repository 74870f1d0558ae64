"""What a shell offers after a tab."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def offered(cli, *words: str) -> list[str]:
    cli.environment["_DSVC_COMPLETE"] = "1"
    return [line.partition("\t")[0] for line in cli.ok(*words).out.splitlines()]


def test_verbs(cli):
    assert {"config", "completion"} <= set(offered(cli, "co"))
    assert "version" in offered(cli, "")
    assert "version" in offered(cli, "-C", "/tmp", "--debug", "ver")
    assert offered(cli, "nothing-of-the-kind", "") == []


def test_options(cli):
    assert offered(cli, "config", "--l") == ["--list", "--local"]
    assert offered(cli, "config", "user.name", "--js") == ["--json"]
    assert offered(cli, "--no") == ["--no-pager"]
    assert offered(cli, "config", "--", "--l") == []


def test_words_that_an_option_or_argument_takes(cli):
    assert offered(cli, "completion", "") == ["bash", "zsh", "fish"]
    assert offered(cli, "--color", "a") == ["auto", "always"]
    assert offered(cli, "config", "user.name", "") == []
    assert {"user.email", "commit.confirm"} <= set(offered(cli, "config", ""))


def test_names_of_branches_and_tags(cli):
    cli.ok("init")
    (cli.directory / "feature.txt").write_text("1")
    cli.ok("commit", "-m", "first")
    for name in ("feature", "fix/one"):
        cli.ok("branch", name)
    cli.ok("tag", "v1")
    assert offered(cli, "switch", "") == ["feature", "fix/one", "main"]
    assert offered(cli, "merge", "f") == ["feature", "fix/one"]
    assert offered(cli, "log", "main..fe") == ["main..feature"]
    assert offered(cli, "tag", "-d", "") == ["v1"]
    assert offered(cli, "restore", "--source", "v") == ["v1"]
    assert offered(cli, "bisect", "start", "v") == ["v1"]
    assert offered(cli, "status", "f") == []  # the shell completes names of files
    (cli.directory / ".dsvc" / "store" / "cells").rename(cli.directory / "away")
    assert offered(cli, "switch", "") == []


def test_help_comes_along(cli):
    cli.environment["_DSVC_COMPLETE"] = "1"
    assert cli.ok("vers").out == "version\tShow the version\n"


def test_completion_needs_a_known_shell(cli):
    assert cli("completion", "tcsh").code == 2


def test_bash(cli, tmp_path):
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "dsvc").write_text(f'#!/bin/sh\nexec {sys.executable} -m dsvc "$@"\n')
    (folder / "dsvc").chmod(0o755)
    script = cli.ok("completion", "bash").out + (
        'COMP_WORDS=(dsvc config --l) COMP_CWORD=2; _dsvc_completion dsvc; echo "${COMPREPLY[@]}"\n'
        'COMP_WORDS=(dsvc "") COMP_CWORD=1; _dsvc_completion dsvc; echo "${COMPREPLY[@]}"\n'
    )
    environment = {**cli.environment, "PATH": f"{folder}{os.pathsep}{cli.environment['PATH']}"}
    done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=True)
    first, second = done.stdout.splitlines()
    assert first == "--list --local"
    assert "config" in second.split()


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_other_scripts_parse(cli, shell, tmp_path):
    script = cli.ok("completion", shell).out
    assert "_DSVC_COMPLETE=1 dsvc" in script
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    path = Path(tmp_path / "script")
    path.write_text(script)
    subprocess.run([shell, "-n", str(path)], check=True)
