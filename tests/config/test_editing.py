"""Changing one key leaves the rest of a file as a person wrote it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from dsvc.config.editing import KeyNotSetError, KeySetError, set_value, set_values, unset_value
from dsvc.config.settings import read_values
from dsvc.errors import RequestError

WRITTEN = """\
# mine
[user]
name = "Ada"  # as in the passport

[alias]
st = "status -s"
"""


def test_comments_stay(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(WRITTEN)
    set_value(path, "user.email", value="ada@example.com")
    set_value(path, "user.name", value="Ada L.")
    set_value(path, "remote.origin.url", value="/x")
    set_value(path, "core.gitignore", value=False)
    assert path.read_text() == (
        """\
# mine
[user]
name = "Ada L."  # as in the passport
email = "ada@example.com"

[alias]
st = "status -s"

[remote.origin]
url = "/x"

[core]
gitignore = false
"""
    )
    unset_value(path, "remote.origin.url")
    unset_value(path, "core.gitignore")
    assert read_values(path) == {"user.name": "Ada L.", "user.email": "ada@example.com", "alias.st": "status -s"}
    assert "remote" not in path.read_text()


def test_unset_of_what_is_not_set(tmp_path):
    path = tmp_path / "config.toml"
    with pytest.raises(KeyNotSetError):
        unset_value(path, "a.b")
    path.write_text(WRITTEN)
    with pytest.raises(KeyNotSetError):
        unset_value(path, "user.nothing")
    assert path.read_text() == WRITTEN


def test_a_section_is_no_value(tmp_path):
    path = tmp_path / "config.toml"
    set_value(path, "a.b.c", value=1)
    with pytest.raises(RequestError, match=r"a\.b is a section"):
        set_value(path, "a.b", value=2)
    with pytest.raises(RequestError, match="c is a value"):
        set_value(path, "a.b.c.d", value=2)


def test_links_are_followed_and_modes_kept(tmp_path):
    real = tmp_path / "dotfiles" / "dsvc.toml"
    real.parent.mkdir()
    real.write_text(WRITTEN)
    real.chmod(0o600)
    link = tmp_path / "config.toml"
    link.symlink_to(real)
    set_value(link, "a.b", value=("x", "y"))
    assert link.is_symlink()
    assert read_values(real)["a.b"] == ("x", "y")
    assert real.stat().st_mode & 0o777 == 0o600
    assert sorted(entry.name for entry in real.parent.iterdir()) == ["dsvc.toml"]


def test_dotted_names_are_quoted(tmp_path):
    path = tmp_path / "config.toml"
    set_value(path, 'branch."v1.2".remote', value="origin")
    assert read_values(path) == {'branch."v1.2".remote': "origin"}


WRITER = """
import sys
from pathlib import Path

from dsvc.config.editing import set_value, unset_value

path, name = Path(sys.argv[1]), sys.argv[2]
import tomlkit  # loaded before the start, so that the changes overlap

print("ready", flush=True)
sys.stdin.readline()
for number in range(8):
    set_value(path, f"branch.{name}-{number}.remote", value="origin")
    set_value(path, f"branch.{name}-{number}.merge", value="main")
    unset_value(path, f"branch.{name}-{number}.merge")
"""


def test_processes_that_change_one_file_at_once_lose_nothing(tmp_path):
    path = tmp_path / "made" / "config.toml"
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, os.fspath(path), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in "abc"
    ]
    assert [writer.stdout.readline() for writer in writers] == ["ready\n"] * 3
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate()
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    expected = {f"branch.{name}-{number}.remote": "origin" for name in "abc" for number in range(8)}
    assert dict(read_values(path)) == expected
    assert [entry.name for entry in path.parent.iterdir()] == ["config.toml"]


def test_several_keys_are_set_together_or_not_at_all(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(WRITTEN)
    with pytest.raises(RequestError):
        set_values(path, {"branch.main.remote": "origin", "user.name.first": "Ada"})
    assert path.read_text() == WRITTEN
    set_values(path, {"branch.main.remote": "origin", "branch.main.merge": "main"})
    assert read_values(path)["branch.main.merge"] == "main"


def test_a_key_that_should_be_new_and_was_set_meanwhile(tmp_path):
    path = tmp_path / "config.toml"
    set_values(path, {"remote.up.url": "one"}, new="remote.up.url")
    with pytest.raises(KeySetError):
        set_values(path, {"remote.up.url": "two", "remote.up.client": "ssh"}, new="remote.up.url")
    assert dict(read_values(path)) == {"remote.up.url": "one"}
    set_values(path, {"remote.other.url": "two"}, new="remote.other.url")
