"""A real store that ignores conditions on writes: `rclone serve s3` over a folder."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.ports import free_port
from tests.servers.seaweed import ACCESS_KEY, SECRET_KEY, program


@pytest.fixture
def rclone(tmp_path: Path) -> Iterator[str]:
    """Return the endpoint of a server with one bucket, `bucket`."""
    rclone = program("rclone")
    folder = tmp_path / "rclone"
    (folder / "bucket").mkdir(parents=True)
    port = free_port()
    with (tmp_path / "rclone.log").open("wb") as log:
        process = subprocess.Popen(
            [
                rclone, "serve", "s3", str(folder), "--addr", f"127.0.0.1:{port}",
                "--auth-key", f"{ACCESS_KEY},{SECRET_KEY}", "--config", str(tmp_path / "none.conf"),
            ],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()
