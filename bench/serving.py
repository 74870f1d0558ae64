"""Requests a second and latencies of a served scikit-learn model, beside MLflow's scoring server and BentoML.

    python -m venv peers && peers/bin/pip install mlflow bentoml scikit-learn==1.9.1 pandas
    python bench/serving.py --peers peers/bin --seconds 4 --rounds 3

All servers are started, warmed up, and asked in turn, so that whatever else the machine does meets all of them. Each
client sends one row of 50 numbers, waits for the answer, and sends the next on the same connection.
"""

# ruff: noqa: T201, PLC0415 - a script that prints, and imports what it measures when it does

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

FEATURES, TRAINED_ON = 50, 5000
BENTO = """
import bentoml
import joblib
import numpy as np


@bentoml.service(traffic={"timeout": 30})
class Model:
    def __init__(self) -> None:
        self.model = joblib.load("model.joblib")

    @bentoml.api
    def predict(self, x: np.ndarray) -> np.ndarray:
        return self.model.predict(x)
"""
# The least that these two frameworks can do for the same model: nothing is checked by a signature, nothing is watched.
FASTAPI = """
import joblib
from fastapi import FastAPI
from pydantic import BaseModel

app, model = FastAPI(), joblib.load("model.joblib")


class Body(BaseModel):
    instances: list[list[float]]


@app.post("/predict")
def predict(body: Body) -> dict[str, list[int]]:
    return {"predictions": model.predict(body.instances).tolist()}
"""
STARLETTE = """
import joblib
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

model = joblib.load("model.joblib")


async def predict(request):
    return JSONResponse({"predictions": model.predict((await request.json())["instances"]).tolist()})


app = Starlette(routes=[Route("/predict", predict, methods=["POST"])])
"""


@dataclass
class Server:
    """One that is asked: how it is started, the address and body of a request."""

    name: str
    words: Sequence[str]
    path: str
    body: bytes
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def request(self) -> bytes:
        head = f"POST {self.path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
        return head.encode() + str(len(self.body)).encode() + b"\r\n\r\n" + self.body


async def client(server: Server, until: float, times: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    request = server.request
    while time.perf_counter() < until:
        began = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        low = head.lower()
        if b" 200 " not in head[:20]:
            raise RuntimeError(f"{server.name}: {head!r} {await reader.read(500)!r}")
        at = low.index(b"content-length:") + 15
        await reader.readexactly(int(low[at : low.index(b"\r", at)]))
        times.append(time.perf_counter() - began)
    writer.close()


async def measure(server: Server, clients: int, seconds: float) -> tuple[float, list[float]]:
    """Return requests a second, and the time of each."""
    times: list[float] = []
    began = time.perf_counter()
    await asyncio.gather(*(client(server, began + seconds, times) for _ in range(clients)))
    return len(times) / (time.perf_counter() - began), sorted(times)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def prepare(folder: Path) -> list[list[float]]:
    """Fit a model and write it in every form; return rows to ask."""
    import joblib
    import numpy as np
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from dsvc.monitoring.profile import profile_fields
    from dsvc.monitoring.tables import profile_table

    random = np.random.default_rng(0)
    x = random.normal(size=(TRAINED_ON, FEATURES))
    y = (x[:, :5].sum(axis=1) > 0).astype(int)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(x, y)
    (folder / "dsvc").mkdir()
    joblib.dump(model, folder / "dsvc" / "model.joblib")
    joblib.dump(model, folder / "model.joblib")
    (folder / "service.py").write_text(BENTO)
    (folder / "fast.py").write_text(FASTAPI)
    (folder / "star.py").write_text(STARLETTE)
    (folder / "save.py").write_text(
        "import joblib, mlflow.sklearn\nmlflow.sklearn.save_model(joblib.load('model.joblib'), 'mlflow')\n"
    )
    from blake3 import blake3

    content = (folder / "dsvc" / "model.joblib").read_bytes()
    record = {
        "schema": "dsvc.served-model", "schema_version": 1, "name": "bench", "version": 1, "framework": "sklearn",
        "files": [{"path": "model.joblib", "size": len(content), "blake3": blake3(content).hexdigest()}],
        "profile": profile_fields(profile_table(x, outputs=model.predict(x))),
    }  # fmt: skip
    (folder / "dsvc" / "dsvc-model.json").write_text(json.dumps(record))
    return random.normal(size=(1, FEATURES)).tolist()


def servers(folder: Path, peers: Path | None, rows: list[list[float]]) -> list[Server]:
    model = str(folder / "dsvc")
    body = json.dumps({"instances": rows}).encode()
    path = "/v1/models/model:predict"
    found = []
    for name, more in (
        ("dsvc", ()), ("dsvc, no monitoring", ("--no-monitoring",)), ("dsvc, --batch 32", ("--batch", "32")),
    ):  # fmt: skip
        port = free_port()
        words = [sys.executable, "-m", "dsvc.serving", model, "--allow-pickle", "--port", str(port), *more]
        found.append(Server(name, words, path, body, port))
    if peers is not None:
        port = free_port()
        words = [str(peers / "mlflow"), "models", "serve", "-m", "mlflow", "-p", str(port), "--env-manager", "local"]
        found.append(Server("MLflow", words, "/invocations", json.dumps({"inputs": rows}).encode(), port))
        port = free_port()
        words = [str(peers / "bentoml"), "serve", "service:Model", "-p", str(port)]
        found.append(Server("BentoML", words, "/predict", json.dumps({"x": rows}).encode(), port))
        for name, module in (("FastAPI, bare", "fast"), ("Starlette, bare", "star")):
            port = free_port()
            more = ["--port", str(port), "--no-access-log", "--http", "httptools"]
            words = [str(peers / "python"), "-m", "uvicorn", f"{module}:app", *more]
            found.append(Server(name, words, "/predict", body, port))
    return found


def start(server: Server, folder: Path, peers: Path | None) -> None:
    environment = {
        **os.environ, "BENTOML_DO_NOT_TRACK": "true", "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true",
    }  # fmt: skip
    if peers is not None and not server.name.startswith("dsvc"):
        environment["PATH"] = f"{peers}{os.pathsep}{environment['PATH']}"
    log = (folder / f"{server.port}.log").open("wb")
    server.process = subprocess.Popen(
        server.words, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
    )
    deadline = time.monotonic() + 180
    while True:
        try:
            asyncio.run(measure(server, 1, 0.5))
            return
        except (OSError, asyncio.IncompleteReadError, RuntimeError) as error:
            if time.monotonic() > deadline or server.process.poll() is not None:
                raise SystemExit(f"{server.name}: {error}\n{(folder / f'{server.port}.log').read_text()}") from error
            time.sleep(0.5)


def cpu(server: Server) -> float:
    """Return the seconds of processor time that the processes of a server have taken."""
    assert server.process is not None
    parents, ticks = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        pid = int(path.parent.name)
        parents[pid], ticks[pid] = int(fields[1]), int(fields[11]) + int(fields[12])
    ours = {server.process.pid}
    while more := {pid for pid, parent in parents.items() if parent in ours} - ours:
        ours |= more
    return sum(ticks.get(pid, 0) for pid in ours) / os.sysconf("SC_CLK_TCK")


def stop(server: Server) -> None:
    if server.process is not None and server.process.poll() is None:
        os.killpg(server.process.pid, signal.SIGTERM)
        try:
            server.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(server.process.pid, signal.SIGKILL)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--peers", type=Path, help="bin folder of an environment with MLflow and BentoML")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 16])
    given = parser.parse_args()
    peers = given.peers.resolve() if given.peers else None
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        rows = prepare(folder)
        if peers is not None:
            subprocess.run([peers / "python", "save.py"], cwd=folder, check=True, capture_output=True)
        all_of_them = servers(folder, peers, rows)
        try:
            for server in all_of_them:
                start(server, folder, peers)
            print("| server | clients | requests a second | p50 ms | p99 ms | processor ms a request |")
            print("| --- | --- | --- | --- | --- | --- |")
            for clients in given.clients:
                rates: dict[str, list[float]] = {server.name: [] for server in all_of_them}
                times: dict[str, list[float]] = {server.name: [] for server in all_of_them}
                spent = {server.name: 0.0 for server in all_of_them}
                for _ in range(given.rounds):
                    for server in all_of_them:
                        before = cpu(server)
                        rate, taken = asyncio.run(measure(server, clients, given.seconds))
                        rates[server.name].append(rate)
                        spent[server.name] += cpu(server) - before
                        times[server.name] += taken
                for server in all_of_them:
                    taken = sorted(times[server.name])
                    p50, p99 = (1000 * taken[int(share * len(taken))] for share in (0.5, 0.99))
                    rate = statistics.median(rates[server.name])
                    each = 1000 * spent[server.name] / len(taken)
                    figures = f"{rate:,.0f} | {p50:.2f} | {p99:.2f} | {each:.2f}"
                    print(f"| {server.name} | {clients} | {figures} |", flush=True)
        finally:
            for server in all_of_them:
                stop(server)


if __name__ == "__main__":
    main()
