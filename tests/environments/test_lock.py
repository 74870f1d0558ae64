"""The same environment has the same id, and what changed is seen although most is kept from the last time."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from dsvc.environments import InterpreterError, decode_environment, differences, packages_key
from dsvc.objects.ids import Kind
from tests.environments.wheels import install, make_venv, make_wheel


def settle(tmp_path: Path) -> None:
    """Wait until what was changed just now counts as settled for the cache."""
    marker = tmp_path / "marker"
    marker.touch()
    changed = marker.stat().st_mtime_ns
    while time.time_ns() < changed + 150_000_000:
        time.sleep(0.02)


def test_the_same_environment_has_the_same_id(locked, python, store, tmp_path):
    settle(tmp_path)
    first, second, third = locked(python), locked(python), locked(python, fresh=True)
    assert first.environment_id == second.environment_id == third.environment_id
    assert (first.cached, second.cached, third.cached) == (False, True, False)
    assert decode_environment(store.get(first.environment_id, Kind.ENVIRONMENT)) == first.environment


def test_an_installation_is_seen_at_once(locked, python, tmp_path):
    settle(tmp_path)
    locked(python)
    assert locked(python).cached
    install(python, make_wheel(tmp_path / "more", "third", "1.0"))
    third = locked(python)
    assert not third.cached
    assert third.environment.distribution("third").version == "1.0"


def test_what_changed_just_now_is_not_kept(locked, python, tmp_path):
    """A folder whose time is not well in the past may change once more without another time."""
    settle(tmp_path)
    later = time.time() + 60
    os.utime(python.parent.parent / "pyvenv.cfg", (later, later))
    locked(python)
    assert not locked(python).cached


def test_an_upgrade_and_a_removal_are_seen(locked, python, tmp_path):
    settle(tmp_path)
    before = locked(python).environment
    install(python, make_wheel(tmp_path / "more", "rentals", "2.1"))
    shutil.rmtree(next((tmp_path / "venv").glob("lib/*/site-packages/[Ll]eft_*.dist-info")))
    found = differences(before, locked(python).environment)
    assert [(one.subject, one.change, one.old, one.new) for one in found] == [
        ("left-pad", "removed", "1.0", None),
        ("rentals", "changed", "2.0", "2.1"),
    ]


def test_variables_are_looked_at_each_time(locked, python, tmp_path):
    settle(tmp_path)
    locked(python)
    found = locked(python, variables={"OMP_NUM_THREADS": "4", "OTHER": "x"})
    assert found.cached
    assert found.environment.variables == {"OMP_NUM_THREADS": "4"}


def test_secrets_are_masked(locked, python):
    secret = "hunter2-hunter2"
    variables = {
        "BIKES_API_KEY": secret,
        "BIKES_TOKEN": secret,
        "BIKES_ACCESSKEY": secret,
        "BIKES_DB_PASSWORD": secret,
        "BIKES_URL": f"https://ada:{secret}@example.org/x?token={secret}&page=2",
        "BIKES_KEYBOARD": "qwertz",
    }
    environment = locked(python, variables=variables, names=("BIKES_*",)).environment
    assert environment.variables == {
        "BIKES_ACCESSKEY": None,
        "BIKES_API_KEY": None,
        "BIKES_DB_PASSWORD": None,
        "BIKES_KEYBOARD": "qwertz",
        "BIKES_TOKEN": None,
        "BIKES_URL": "https://example.org/x?token=***&page=2",
    }


def test_each_working_copy_has_its_own_paths(locked, python, tmp_path):
    settle(tmp_path)
    locked(python, root=tmp_path / "one")
    assert locked(python, root=tmp_path / "one").cached
    assert not locked(python, root=tmp_path / "two").cached


@pytest.mark.parametrize("damage", [b"", b"\x80", b"\xff" * 100])
def test_a_damaged_cache_is_made_anew(locked, python, tmp_path, damage):
    settle(tmp_path)
    first = locked(python)
    (file,) = (tmp_path / "cache" / "environments").iterdir()
    file.write_bytes(damage)
    second = locked(python)
    assert (second.environment_id, second.cached) == (first.environment_id, False)
    assert locked(python).cached


def test_a_cache_that_cannot_be_written_is_done_without(locked, python, tmp_path):
    (tmp_path / "cache").write_text("a file")
    assert locked(python).environment_id == locked(python).environment_id


def test_the_base_that_goes_away_is_noticed(locked, python, tmp_path):
    settle(tmp_path)
    locked(python)
    python.unlink()
    python.symlink_to("/nowhere/python3")
    with pytest.raises(InterpreterError, match="links to /nowhere/python3"):
        locked(python)


def test_a_script_that_chooses_the_interpreter_is_asked_again_when_its_file_changes(locked, python, tmp_path):
    """As pyenv's shims do, which read the file `version` beside them."""
    other = make_venv(tmp_path / "other")
    shim = tmp_path / "pyenv" / "shims" / "python"
    shim.parent.mkdir(parents=True)
    version = tmp_path / "pyenv" / "version"
    shim.write_text(f'#!/bin/sh\nexec "$(cat {version})" "$@"\n')
    shim.chmod(0o755)
    version.write_text(str(python))
    settle(tmp_path)
    assert len(locked(shim).environment.distributions) == 2
    assert locked(shim).cached
    version.write_text(str(other))
    assert locked(shim).environment.distributions == ()


def test_the_key_leaves_machine_and_origin_out(locked, python, wheels, tmp_path):
    other = make_venv(tmp_path / "elsewhere")
    install(other, *sorted(wheels.iterdir()))
    first = locked(python)
    second = locked(other, variables={"DSVC_CONTAINER_IMAGE": "train:1@sha256:" + "0" * 64})
    assert first.environment_id != second.environment_id
    assert packages_key(first.environment) == packages_key(second.environment)
    install(other, make_wheel(tmp_path / "more", "rentals", "2.1"))
    assert packages_key(locked(other).environment) != packages_key(first.environment)
