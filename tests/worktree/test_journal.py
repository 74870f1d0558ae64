"""The journal: whole or not there, one owner, and what a broken or foreign one means."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from dsvc.worktree import journal
from dsvc.worktree.journal import CheckoutRunningError, Journal

OWN = Journal(b"\1" * 32, b"\2" * 32, b"token", os.getpid(), socket.gethostname())


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal"


@pytest.fixture
def dead():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return OWN._replace(pid=process.pid)


def test_begin_read_and_end(path):
    assert journal.read(path) is None
    journal.begin(path, OWN)
    assert journal.read(path) == OWN
    journal.end(path)
    assert list(path.parent.iterdir()) == []
    journal.end(path)


def test_a_second_one_is_refused(path):
    journal.begin(path, OWN)
    with pytest.raises(CheckoutRunningError, match=str(os.getpid())):
        journal.begin(path, OWN._replace(token=b"other"))
    assert journal.read(path) == OWN


def test_of_many_that_begin_at_once_one_does(path):
    def begin(number):
        try:
            journal.begin(path, OWN._replace(token=b"%d" % number))
        except CheckoutRunningError:
            return None
        return b"%d" % number

    with ThreadPoolExecutor(8) as pool:
        winners = [token for token in pool.map(begin, range(40)) if token is not None]
    assert [journal.read(path).token] == winners


def test_without_hard_links(path, monkeypatch):
    def link(source, target):
        raise PermissionError(1, "no links here")

    monkeypatch.setattr(journal.os, "link", link)
    journal.begin(path, OWN)
    with pytest.raises(CheckoutRunningError):
        journal.begin(path, OWN)
    assert journal.read(path) == OWN
    assert os.listdir(path.parent) == ["journal"]


@pytest.mark.parametrize("content", [b"", b"\x96\x01", b"text", b"\x91\x01"])
def test_a_broken_one_is_removed(path, content):
    path.write_bytes(content)
    assert journal.read(path) is None
    journal.begin(path, OWN)
    assert journal.read(path) == OWN


def test_that_of_another_process_is_not_ended(path, dead):
    journal.begin(path, dead)
    journal.end(path)
    assert journal.read(path) == dead


def test_who_is_alive(path, dead):
    assert not journal.is_alive(path, dead)
    assert not journal.is_alive(path, OWN)  # this process would know
    assert journal.is_alive(path, OWN._replace(pid=os.getppid()))
    assert journal.is_alive(path, dead._replace(host="elsewhere"))


def test_one_process_takes_over(path, dead):
    journal.begin(path, dead)
    assert journal.take_over(path, dead) == OWN
    assert journal.read(path) == OWN
    assert journal.take_over(path, dead) is None
    journal.end(path)
    assert journal.take_over(path, dead) is None
