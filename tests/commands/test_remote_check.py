"""`dsvc remote check` tells a place that keeps the contract from one that does not, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from dsvc.storage.conformance import CHECKS
from tests.commands.conftest import CommandLine, cli
from tests.servers.ports import free_port
from tests.servers.rclone import rclone
from tests.servers.seaweed import ACCESS_KEY, SECRET_KEY, Seaweed, plain_client
from tests.servers.sshd import DSVC, Sshd, sshd

__all__ = ["cli", "rclone", "sshd"]


def outcomes(document: Any) -> dict[str, str]:
    return {check["name"]: check["outcome"] for check in document["checks"]}


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.fixture
def far(cli: CommandLine, sshd: Sshd, tmp_path: Path) -> Path:
    """A folder at the other end of SSH, which is the remote `far` here."""
    folder = tmp_path / "far"
    folder.mkdir()
    cli.environment["DSVC_SSH_COMMAND"] = f"ssh -F {sshd.config}"
    cli.ok("init", "-q")
    cli.ok("remote", "add", "far", f"ssh://{sshd.host}{folder}")
    cli.ok("config", "remote.far.command", DSVC)
    return folder


def test_a_folder_that_is_no_repository_yet(cli: CommandLine, tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    document = cli.ok("remote", "check", "--quick", "--json", str(folder)).json
    assert document["passed"] is True
    assert set(outcomes(document)) == set(CHECKS)
    assert set(outcomes(document).values()) == {"passed"}
    assert set(document["latency"]) == {"get", "put", "swap"}
    assert 0 < document["latency"]["put"]["median"] <= document["latency"]["put"]["p90"]
    assert document["throughput"]["up"]["bytes_per_second"] > 0
    assert abs(document["clock_skew"]["seconds"]) < 5
    assert everything(folder) == set()


def test_a_folder_that_is_not_there(cli: CommandLine, far: Path) -> None:
    far.rmdir()
    for words in (["far"], [str(far)]):
        refused = cli("remote", "check", "--quick", *words)
        assert refused.code == 14
        assert "make an empty one there" in refused.err
    assert not far.exists()


def test_the_table(cli: CommandLine, tmp_path: Path) -> None:
    cli.ok("init", "-q")
    (tmp_path / "shared").mkdir()
    cli.ok("remote", "add", "origin", "../shared")
    lines = cli.ok("remote", "check", "--quick").out.splitlines()
    assert all(len(line) <= 80 for line in lines)
    text = "\n".join(lines)
    for word in (*CHECKS, "small put", "up", "down", "clock", "does what a repository needs"):
        assert word in text


def test_a_repository_stays_as_it_was(cli: CommandLine, tmp_path: Path) -> None:
    cli.ok("init", "-q")
    (cli.directory / "a").write_text("a")
    cli.ok("commit", "-q", "-m", "first")
    cli.ok("remote", "add", "origin", str(tmp_path / "shared"))
    cli.ok("push", "-q")
    before = everything(tmp_path / "shared")
    cli.ok("remote", "check", "--quick")
    assert everything(tmp_path / "shared") == before
    cli.ok("fetch")


def test_over_ssh(cli: CommandLine, far: Path) -> None:
    document = cli.ok("remote", "check", "--quick", "--json").json
    assert document["passed"] is True
    assert document["remote"] == "far"
    assert document["removed"] is True
    assert abs(document["clock_skew"]["seconds"]) <= document["clock_skew"]["error"] + 0.1
    assert everything(far) == set()


def test_in_a_bucket(cli: CommandLine, seaweed: Seaweed) -> None:
    cli.environment.update(seaweed.environment)
    bucket = seaweed.bucket()
    document = cli.ok("remote", "check", "--quick", "--json", f"s3://{bucket}/project").json
    assert outcomes(document) == dict.fromkeys(("conditional writes", *CHECKS), "passed")
    assert document["conditional_writes"] is True
    assert abs(document["clock_skew"]["seconds"]) < 5
    assert seaweed.client().list_objects_v2(Bucket=bucket).get("Contents", []) == []


def test_a_store_that_ignores_conditions(cli: CommandLine, rclone: str) -> None:
    cli.environment |= {
        "AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY, "AWS_ENDPOINT_URL_S3": rclone,
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
    }  # fmt: skip
    answer = cli("remote", "check", "--quick", "--json", "s3://bucket/project")
    assert answer.code == 1
    document = answer.json
    assert document["conditional_writes"] is False
    wrong = {name: outcome for name, outcome in outcomes(document).items() if outcome != "passed"}
    assert wrong == {"conditional writes": "failed", "cells": "skipped", "races": "skipped"}
    assert "ignores the condition" in document["checks"][0]["message"]
    assert plain_client(rclone).list_objects_v2(Bucket="bucket").get("Contents", []) == []

    cli.ok("init", "-q")
    (cli.directory / "a").write_text("a")
    cli.ok("commit", "-q", "-m", "first")
    cli.ok("remote", "add", "shared", "s3://bucket/project")
    refused = cli("push", "shared")
    assert refused.code == 14
    assert "ignores the condition" in refused.err
    assert "remote.NAME.singleWriter" in refused.err
    cli.ok("remote", "remove", "shared")

    cli.ok("remote", "add", "--single-writer", "alone", "s3://bucket/project")
    assert cli.ok("config", "remote.alone.singleWriter").out == "true\n"
    cli.ok("push", "-q", "alone")
    assert "main" in cli.ok("ls-remote", "alone").out
    text = cli.ok("remote", "check", "--quick").out
    assert "one machine alone" in text
    assert all(len(line) <= 80 for line in text.splitlines())


def test_places_that_cannot_be_reached(cli: CommandLine, seaweed: Seaweed, tmp_path: Path) -> None:
    assert cli("remote", "check", str(tmp_path / "nothing")).code == 14
    cli.environment.update(seaweed.environment)
    answer = cli("remote", "check", "s3://no-such-bucket/project")
    assert answer.code == 14
    assert "no such bucket" in answer.err
    cli.environment["AWS_ENDPOINT_URL_S3"] = f"http://127.0.0.1:{free_port()}"
    assert cli("remote", "check", "s3://bucket/project").code == 14
    assert cli("remote", "check").code == 2


def test_an_account_that_may_only_read(cli: CommandLine, seaweed: Seaweed) -> None:
    cli.environment |= seaweed.environment | {"AWS_ACCESS_KEY_ID": "reader"}
    answer = cli("remote", "check", "--quick", f"s3://{seaweed.bucket()}/project")
    assert answer.code == 1, answer.err
    assert "access was denied" in answer.out


def test_interrupted_it_leaves_nothing(far: Path, cli: CommandLine) -> None:
    interrupted = 0
    for wait in ("packs", "cells") * 3:
        process = subprocess.Popen(
            [sys.executable, "-m", "dsvc", "remote", "check"],
            cwd=cli.directory, env=cli.environment | {"PYTHONPATH": os.getcwd()},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        deadline = time.monotonic() + 30
        while not any(wait in name for name in everything(far)) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=120)
        interrupted += process.returncode not in (0, 1)
        # An upload that was cut off stays there for whoever goes on with it, until it is old.
        left = {name for name in everything(far) if not name.startswith("tmp/put-")}
        assert left <= {"tmp"}, said
        if interrupted == 2:
            return
    if not interrupted:
        pytest.skip("each check was over before it could be interrupted")
