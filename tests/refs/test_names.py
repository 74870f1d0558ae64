"""Which names refs may have: git's rules, inside our folders."""

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsvc.refs.names import BadRefNameError, check_name, check_short_name, head_of, short_name, state_of


@pytest.mark.parametrize(
    "name",
    ["heads/main", "tags/v1.0", "heads/a/b-c_d", "remotes/o/heads/x", "stash/1", "heads/\u00fc", "runs/7@x", "heads/@"],
)
def test_allowed(name):
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "main",
        "heads",
        "heads/",
        "/heads/main",
        "Heads/main",
        "refs/heads/main",
        "heads//main",
        "heads/a/",
        "heads/.a",
        "heads/a/.b",
        "heads/a.",
        "heads/a./b",
        "heads/a..b",
        "heads/../../etc",
        "heads/a.lock",
        "heads/a.lock/b",
        "heads/a b",
        "heads/a\tb",
        "heads/a\n",
        "heads/a\x7f",
        "heads/a~1",
        "heads/a^",
        "heads/a:b",
        "heads/a?",
        "heads/a*",
        "heads/a[",
        "heads/a\\b",
        "heads/a@{1}",
        "heads/\udc80",
        "heads/" + "x" * 1000,
    ],
)
def test_refused(name):
    with pytest.raises(BadRefNameError):
        check_name(name)


@pytest.mark.parametrize("name", ["", "HEAD", "-x", ".x", "x.lock", "a b", "@", "/x", "x/", "\udc80"])
def test_short_names_that_are_refused(name):
    for prefix in ("heads/", "tags/"):
        with pytest.raises(BadRefNameError):
            check_short_name(name, prefix)


def test_short_and_full_names():
    assert check_short_name("main", "heads/") == "heads/main"
    for full, short in {"heads/a/b": "a/b", "tags/v1": "v1", "remotes/o/x": "o/x", "runs/7": "runs/7"}.items():
        assert short_name(full) == short
    assert check_name(head_of("one")) == "worktrees/one/HEAD"
    assert check_name(state_of("one")) == "worktrees/one/state"


@settings(max_examples=60, deadline=None)
@given(st.text(st.sampled_from("ab./-@{}~^:?*[\\ \x01\u00e9lock"), min_size=1, max_size=8))
def test_every_branch_can_be_a_branch_of_git(name):
    try:
        full = check_short_name(name, "heads/")
    except BadRefNameError:
        return
    for question in (["--branch", name], [f"refs/{full}"]):
        assert subprocess.run(["git", "check-ref-format", *question], capture_output=True, check=False).returncode == 0
