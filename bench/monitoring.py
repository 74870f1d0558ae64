"""What watching costs a server: processor time of a request of 50 numbers, with and without it, and of a scrape.

    python bench/monitoring.py

The application is called in this process, without sockets: what is left differs only by the statistics. Both are
asked in turn, 600 requests at a time; the least and the median of the rounds are printed.
"""

# ruff: noqa: T201 - a script that prints

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from serving import FEATURES, prepare  # the other script beside this

from dsvc.serving.application import Application
from dsvc.serving.options import checked
from dsvc.serving.server import build_application

EACH = 600


async def send(_: Any) -> None:
    """Take an answer."""


async def ask(application: Application, method: str, path: str, body: bytes, count: int) -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    scope = {"type": "http", "method": method, "path": path, "headers": headers}
    for _ in range(count):
        await application(scope, receive, send)


def spent(application: Application, method: str, path: str, body: bytes, count: int) -> float:
    """Return microseconds of processor time that one of `count` requests takes."""
    before = time.process_time()
    asyncio.run(ask(application, method, path, body, count))
    return (time.process_time() - before) / count * 1e6


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as place:
        body = json.dumps({"instances": prepare(Path(place))}).encode()
        folder, log = Path(place) / "dsvc", Path(place) / "log"
        kinds = {
            "watched": {}, "not watched": {"no_monitoring": True},
            "watched, one in ten kept": {"log_predictions": 0.1, "log_dir": log},
        }  # fmt: skip
        served = {name: build_application(checked(folder, allow_pickle=True, **more)) for name, more in kinds.items()}
        found: dict[str, list[float]] = {name: [] for name in served}
        for _ in range(rounds):
            for name, application in served.items():
                found[name].append(spent(application, "POST", "/v1/models/model:predict", body, EACH))
        print(f"| {FEATURES} numbers a request | least us | median us | above |\n| --- | --- | --- | --- |")
        least = min(found["not watched"])
        for name, taken in found.items():
            above = f"{100 * (min(taken) / least - 1):.1f} %"
            print(f"| {name} | {min(taken):.0f} | {statistics.median(taken):.0f} | {above} |")
        scrape = min(spent(served["watched"], "GET", "/metrics", b"", 5) for _ in range(5))
        print(f"| a scrape of /metrics | {scrape:.0f} | | |")


if __name__ == "__main__":
    main()
