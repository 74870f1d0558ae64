"""A real S3 server for tests: SeaweedFS, started once a test process, on 127.0.0.1 only.

The fixture `seaweed` is there for every test. It skips with its reason where the program or botocore is missing.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers.ports import free_port

ACCESS_KEY = "test-access"
SECRET_KEY = "test-secret-key"


class Seaweed:
    """A server over a folder of its own; it keeps its ports and its content when it is killed and started again."""

    def __init__(self, program: str, folder: Path) -> None:
        self._program = program
        self._folder = folder
        self._data = folder / "data"
        self._data.mkdir()
        self._identities = folder / "s3.json"
        credentials = [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}]
        actions = ["Admin", "Read", "List", "Tagging", "Write"]
        reader = [{"accessKey": "reader", "secretKey": SECRET_KEY}]
        self._identities.write_text(
            json.dumps(
                {
                    "identities": [
                        {"name": "tester", "credentials": credentials, "actions": actions},
                        {"name": "reader", "credentials": reader, "actions": ["Read", "List"]},
                    ]
                }
            )
        )
        self._ports = {name: free_port(beside=10_000) for name in ("master", "volume", "filer", "s3")}
        self._process: subprocess.Popen[bytes] | None = None
        self._buckets = 0

    @property
    def endpoint(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self._ports['s3']}"

    @property
    def port(self) -> int:
        """The port of `endpoint`."""
        return self._ports["s3"]

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which dsvc, boto3 and other programs find it."""
        return {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_ENDPOINT_URL_S3": self.endpoint,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self) -> Any:
        """A plain client, for looking at what is in a bucket."""
        return plain_client(self.endpoint)

    def bucket(self) -> str:
        """Make a fresh bucket and return its name."""
        self._buckets += 1
        name = f"bucket-{self._buckets}"
        self.client().create_bucket(Bucket=name)
        return name

    def start(self) -> None:
        """Start it and wait until it stores something."""
        ports = self._ports
        log = (self._folder / "log").open("ab")
        self._process = subprocess.Popen(
            [
                self._program, "server", f"-dir={self._data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
                "-master.telemetry=false", "-master.electionTimeout=1s", f"-master.port={ports['master']}",
                "-master.volumeSizeLimitMB=256", f"-volume.port={ports['volume']}", "-volume.max=2000",
                "-volume.preStopSeconds=0", "-filer", f"-filer.port={ports['filer']}", "-s3", f"-s3.port={ports['s3']}",
                "-s3.port.iceberg=0", "-s3.port.lance=0", f"-s3.localSocket={self._folder}/s3.sock",
                f"-filer.localSocket={self._folder}/filer.sock", f"-s3.config={self._identities}",
            ],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self._folder,
            env=os.environ | {"WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"},  # one volume for each bucket, not seven
        )  # fmt: skip
        log.close()
        client = self.client()
        deadline = time.monotonic() + 60
        while True:
            try:
                if self._buckets == 0:  # not after a kill
                    client.create_bucket(Bucket="ready")
                    self._buckets = 1
                client.put_object(Bucket="ready", Key="ready", Body=b"yes")
                return
            except Exception:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    print((self._folder / "log").read_text(errors="replace")[-3000:])
                    self.kill()
                    raise
                time.sleep(0.1)

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            for name, port in self._ports.items():  # what it leaves outside of its folder
                Path(f"/tmp/seaweedfs-{name}-grpc-{port + 10_000}.sock").unlink(missing_ok=True)

    def stop(self) -> None:
        """Let it hang: connections open and nobody answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """End a hang."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)


def plain_client(endpoint: str, access_key: str = ACCESS_KEY) -> Any:
    """A client of botocore for `endpoint` that reads no files and no environment and does not repeat requests."""
    import botocore.session
    from botocore.config import Config

    return botocore.session.Session().create_client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=access_key,
        aws_secret_access_key=SECRET_KEY,
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=30),
    )


def program(name: str) -> str:
    """Return the path of a program that came with a Python package, or skip the test."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if found is None:
        pytest.skip(f"needs the program {name}: pip install 'dsvc[dev]'")
    return found


@pytest.fixture(scope="session")
def seaweed() -> Iterator[Seaweed]:
    pytest.importorskip("botocore")
    weed = program("weed")
    with tempfile.TemporaryDirectory(prefix="dsvc-seaweed-") as folder:
        server = Seaweed(weed, Path(folder))
        server.start()
        yield server
        server.kill()
