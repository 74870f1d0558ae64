"""Runs what tests ask for beside a pool, which is in a mount namespace that the tests are not in.

Reads one JSON object a line and answers with one. Each is done by a fork of this process, so that none leaves a trace
in the next one, and dsvc is imported once.
"""

from __future__ import annotations

import base64
import importlib
import io
import json
import os
import subprocess
import sys
import traceback
from pathlib import Path

VERBS = (
    *("entry", "init", "config", "remote", "data", "commit", "status", "switch", "restore", "undo", "rev_parse"),
    *("push", "pull", "clone", "fork"),
)


def dsvc(words: list[str], environment: dict[str, str], folder: str) -> dict[str, object]:
    from dsvc.commands.entry import run

    out, err = io.BytesIO(), io.BytesIO()
    code = run(words, environment, stdin=io.BytesIO(), stdout=out, stderr=err, directory=Path(folder))
    return said(code, out.getvalue(), err.getvalue())


def program(words: list[str], environment: dict[str, str], folder: str) -> dict[str, object]:
    done = subprocess.run(words, capture_output=True, env=environment, cwd=folder, check=False)
    return said(done.returncode, done.stdout, done.stderr)


def said(code: int, out: bytes, err: bytes) -> dict[str, object]:
    return {"code": code, "out": base64.b64encode(out).decode(), "err": err.decode("utf-8", "replace")}


def answer(line: bytes) -> bytes:
    asked = json.loads(line)
    try:
        os.chdir(asked["folder"])
        os.environ.clear()
        os.environ.update(asked["environment"])
        found = {"dsvc": dsvc, "program": program}[asked["what"]](
            asked["words"], asked["environment"], asked["folder"]
        )
    except BaseException:
        found = {"code": 70, "out": "", "err": traceback.format_exc()}
    return json.dumps(found).encode() + b"\n"


def main() -> None:
    # Once, and not in each fork: beside OpenZFS in an emulated machine that takes seconds.
    for verb in VERBS:
        importlib.import_module(f"dsvc.commands.{verb}")
    for name in ("worktree.delegation", "zfs.provider", "actions.pool_peer", "remotes.opening", "remotes.ssh.process"):
        importlib.import_module(f"dsvc.{name}")

    facts = {name: os.environ[name] for name in ("POOL", "POOL_FOLDER", "POOL_DAEMON", "POOL_DISK")}
    sys.stdout.buffer.write(json.dumps({**facts, "pid": os.getpid()}).encode() + b"\n")
    sys.stdout.buffer.flush()
    for line in sys.stdin.buffer:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            with open(writer, "wb") as out:
                out.write(answer(line))
            os._exit(0)
        os.close(writer)
        with open(reader, "rb") as found:
            sys.stdout.buffer.write(found.read() or b'{"code": 71, "out": "", "err": "it was killed"}\n')
        sys.stdout.buffer.flush()
        os.waitpid(child, 0)


main()
