"""Measure imports from a bucket: beside boto3's own transfer and `dvc import-url`, and of very many references.

    python -m bench.imports objects [--count 5000] [--large MB] [--dvc PROGRAM]   (0: without)
    python -m bench.imports references [--count 1000000]

`objects` starts SeaweedFS on this machine, fills a bucket with objects of 4 KiB and a large one, and imports them, each
program in a process of its own; the server's work is part of every time, the processor time is the client's alone.
With `--connection MB` each connection brings only so much a second, as those to distant buckets do.
`references` speaks to a server of its own that makes up a listing as it goes (S3's ListObjectsV2, 1,000 keys a page, in
a hundred folders), so that only the size of the listing counts. It prints seconds and the largest resident memory of
each step.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import boto3

from tests.servers.seaweed import ACCESS_KEY, SECRET_KEY, Seaweed, program

SMALL = 4096
PAGE = 1000
ADA = {"DSVC_USER_NAME": "Ada", "DSVC_USER_EMAIL": "a@example.org"}
FOLDERS = 100
DSVC = [sys.executable, "-m", "dsvc"]

BOTO = """
import os, sys
from concurrent.futures import ThreadPoolExecutor
import boto3
from botocore.config import Config
endpoint, bucket, prefix, folder = sys.argv[1:]
client = boto3.client("s3", endpoint_url=endpoint, config=Config(max_pool_connections=16))
pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
keys = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
for key in keys:
    os.makedirs(os.path.dirname(os.path.join(folder, key)), exist_ok=True)
def fetch(key):
    client.download_file(bucket, key, os.path.join(folder, key))
with ThreadPoolExecutor(8) as pool:
    list(pool.map(fetch, keys))
"""


def measured(words: Sequence[str], folder: Path, environment: Mapping[str, str]) -> tuple[float, float, float]:
    """Run a program; return seconds, its processor seconds, and its largest resident memory in MiB."""
    began = time.perf_counter()
    process = subprocess.Popen(
        words, cwd=folder, env=dict(environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.stdout is not None
    said = b""
    while some := os.read(process.stdout.fileno(), 1 << 16):  # what ten million references print is not kept here
        said = (said + some)[-2000:]
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{words}: {said.decode(errors='replace')}")
    return time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def row(name: str, found: tuple[float, float, float]) -> None:
    """Print a row of the table."""
    sys.stdout.write(f"{name:44} {found[0]:8.1f} s  cpu {found[1]:7.1f} s  memory {found[2]:6.0f} MiB\n")
    sys.stdout.flush()


def new_repository(folder: Path, environment: Mapping[str, str]) -> Path:
    """Make an empty repository."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    measured([*DSVC, "init", "-q"], folder, environment)
    return folder


def objects(count: int, large: int, dvc: str | None, connection: float | None = None) -> None:
    """Import many small objects and a large one, by every program; none of them where their number is 0."""
    with tempfile.TemporaryDirectory(prefix="bench-imports-") as place, ExitStack() as stack:
        server = Seaweed(program("weed"), Path(place))
        server.start()
        try:
            way = stack.enter_context(slowed(server.port, connection)) if connection else server.port
            endpoint = f"http://127.0.0.1:{way}"
            base = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
            environment = {**base, **server.environment, "AWS_ENDPOINT_URL_S3": endpoint, **ADA}
            client, bucket = server.client(), server.bucket()
            with ThreadPoolExecutor(8) as pool:
                names = (f"small/{n % 50:02}/{n:06}.bin" for n in range(count))
                list(pool.map(lambda key: client.put_object(Bucket=bucket, Key=key, Body=os.urandom(SMALL)), names))
            with open("/dev/urandom", "rb") as source, open(Path(place) / "large", "wb") as target:
                for _ in range(max(large, 1)):
                    target.write(source.read(1_000_000))
            boto3.client(
                "s3",
                endpoint_url=server.endpoint,
                region_name="us-east-1",
                aws_access_key_id=ACCESS_KEY,
                aws_secret_access_key=SECRET_KEY,
            ).upload_file(str(Path(place) / "large"), bucket, "large/one.bin")
            os.unlink(Path(place) / "large")
            work = Path(place) / "work"
            for what, prefix in ((f"{count} objects of 4 KiB", "small"), (f"one object of {large} MB", "large")):
                if not (count if prefix == "small" else large):
                    continue
                url = f"s3://{bucket}/{prefix}"
                one = [f"{url}/one.bin", "data.bin"] if prefix == "large" else ["--prefix", url, "data"]
                work.mkdir(exist_ok=True)
                row(f"{what}: boto3 download_file", measured(
                    [sys.executable, "-c", BOTO, endpoint, bucket, f"{prefix}/", str(work)], work, environment
                ))  # fmt: skip
                shutil.rmtree(work)
                folder = new_repository(work, environment)
                row(f"{what}: dsvc import-url", measured([*DSVC, "import-url", *one], folder, environment))
                row(f"{what}: dsvc commit", measured([*DSVC, "commit", "-q", "-m", "all"], folder, environment))
                folder = new_repository(work, environment)
                words = [*DSVC, "import-url", "--reference", *one]
                row(f"{what}: dsvc import-url --reference", measured(words, folder, environment))
                row(f"{what}: dsvc data get", measured([*DSVC, "data", "get"], folder, environment))
                if dvc is not None:
                    source = url if prefix == "small" else f"{url}/one.bin"
                    with_dvc(dvc, what, source, work=work, environment=environment, endpoint=endpoint)
                shutil.rmtree(work)
        finally:
            server.kill()


def with_dvc(dvc: str, what: str, url: str, *, work: Path, environment: Mapping[str, str], endpoint: str) -> None:
    """The same by DVC, or why it cannot."""
    shutil.rmtree(work)
    work.mkdir()
    own = {**environment, "DVC_NO_ANALYTICS": "1", "HOME": str(work), "AWS_ENDPOINT_URL": endpoint}
    try:
        for words in (["init", "-q", "--no-scm"], ["remote", "add", "s3", url]):
            measured([dvc, *words], work, own)
        measured([dvc, "remote", "modify", "s3", "endpointurl", endpoint], work, own)
        row(f"{what}: dvc import-url", measured([dvc, "import-url", "remote://s3/", "data"], work, own))
    except SystemExit as error:
        sys.stdout.write(f"{what}: dvc import-url cannot: {str(error).strip().splitlines()[-1]}\n")


@contextmanager
def slowed(port: int, megabytes: float) -> Iterator[int]:
    """A way to a server on which each connection brings so many MB a second; the value is its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def carry(source: socket.socket, target: socket.socket, pause: float) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
                time.sleep(pause * len(data) / (1 << 16))
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def serve() -> None:
        with suppress(OSError):
            while True:
                client = listener.accept()[0]
                server = socket.create_connection(("127.0.0.1", port))
                for ends, pause in (((client, server), 0.0), ((server, client), (1 << 16) / 1e6 / megabytes)):
                    threading.Thread(target=carry, args=(*ends, pause), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()


class Listing(BaseHTTPRequestHandler):
    """Answers ListObjectsV2 with keys that are made up."""

    protocol_version = "HTTP/1.1"
    count = 0

    def do_GET(self) -> None:
        """Answer one page; the continuation token is the number of its first key."""
        query = parse_qs(urlsplit(self.path).query)
        first = int(query.get("continuation-token", ["0"])[0])
        last = min(first + PAGE, self.count)
        share = -(-self.count // FOLDERS)
        parts = [
            f"<Contents><Key>data/{n // share:03}/{n:09}.jpg</Key><LastModified>2026-01-31T12:00:00.000Z</LastModified>"
            f"<ETag>&quot;{hashlib.sha256(b'%d' % n).hexdigest()[:32]}&quot;</ETag>"
            f"<Size>{100_000 + n % 1000}</Size></Contents>"
            for n in range(first, last)
        ]
        more = f"<NextContinuationToken>{last}</NextContinuationToken>" if last < self.count else ""
        cut = "true" if last < self.count else "false"
        body = (
            '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult><Name>made-up</Name><Prefix>data/</Prefix>'
            f"<KeyCount>{last - first}</KeyCount><MaxKeys>{PAGE}</MaxKeys><IsTruncated>{cut}</IsTruncated>"
            f"{''.join(parts)}{more}</ListBucketResult>"
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        """Say nothing."""


@contextmanager
def made_up_bucket(count: int) -> Iterator[dict[str, str]]:
    """A listing of so many keys, from a process of its own; the value is the environment in which it is found."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        Listing.count = count
        server = ThreadingHTTPServer(("127.0.0.1", 0), Listing)
        os.write(writer, b"%d\n" % server.server_address[1])
        os.close(writer)
        threading.Thread(target=server.serve_forever).start()
        threading.Event().wait()
    os.close(writer)
    with os.fdopen(reader) as said:
        port = int(said.readline())
    try:
        yield {
            "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": "any",
            "AWS_SECRET_ACCESS_KEY": "any",
        }
    finally:
        os.kill(child, 15)
        os.waitpid(child, 0)


def references(count: int) -> None:
    """Import, commit, list and update very many references."""
    with made_up_bucket(count) as found, tempfile.TemporaryDirectory(prefix="bench-imports-") as place:
        environment = {**os.environ, **found, "DSVC_USER_NAME": "Ada", "DSVC_USER_EMAIL": "a@example.org"}
        folder = new_repository(Path(place) / "work", environment)
        url = "s3://made-up/data"
        steps: list[tuple[str, list[str]]] = [
            ("import-url --prefix --reference", ["import-url", "--prefix", "--reference", url, "data"]),
            ("commit", ["commit", "-q", "-m", "references"]),
            ("status", ["status"]),
            ("ls -r", ["ls", "-r", "HEAD"]),
            ("data list", ["data", "list"]),
            ("data update", ["data", "update"]),
            ("fsck", ["fsck"]),
        ]
        for name, words in steps:
            row(f"{count} references: {name}", measured([*DSVC, *words], folder, environment))
        remote = ["remote", "add", "origin", str(Path(place) / "there")]
        measured([*DSVC, *remote], folder, environment)
        row(f"{count} references: push", measured([*DSVC, "push", "-q"], folder, environment))
        words = ["clone", "-q", str(Path(place) / "there"), str(Path(place) / "clone")]
        row(f"{count} references: clone", measured([*DSVC, *words], folder, environment))
        size = sum(path.stat().st_size for path in (folder / ".dsvc").rglob("*") if path.is_file())
        sys.stdout.write(json.dumps({"stored_bytes": size, "of_each": round(size / count, 1)}) + "\n")


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("objects", "references"))
    parser.add_argument("--count", type=int)
    parser.add_argument("--large", type=int, default=500, help="MB")
    parser.add_argument("--dvc", help="the program dvc")
    parser.add_argument("--connection", type=float, help="MB a second that a connection brings; without it all it can")
    options = parser.parse_args()
    if options.what == "objects":
        objects(5000 if options.count is None else options.count, options.large, options.dvc, options.connection)
    else:
        references(options.count or 1_000_000)


if __name__ == "__main__":
    main()
