"""How far resamples of training data and shifted rows are from the profile, and when the alert of a shift fires.

    python bench/drift.py [--servers 5]

The first table takes data sets of scikit-learn: the largest population stability index (PSI) of any column in 20
resamples, and that of a column that was moved. The second one serves a model several times, has `dsvc monitor up`
scrape all of them each second, asks one after the other with moved rows, and takes the time from the answer that fills
the window until the alert is said to fire. Needs prometheus.
"""

# ruff: noqa: S310, T201 - a script that prints, and asks what it started

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from measured import run
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine  # type: ignore[import-untyped]

from dsvc.actions.model_folder import write_model_folder
from dsvc.monitoring.monitor import Monitor
from dsvc.monitoring.profile import Profile
from dsvc.monitoring.rules import PSI
from dsvc.monitoring.tables import profile_table
from dsvc.tracking.opening import open_workspace

ENOUGH = 100
PREDICTOR = "def predict(rows):\n    return (rows[:, 0] > 13).astype(int)\n"


def largest(profile: Profile, rows: Any) -> float:
    """Return the PSI of the column of the rows that is farthest from the profile."""
    monitor = Monitor(profile, [f"x{at}" for at in range(rows.shape[1])])
    monitor.observe(rows, None, np.zeros(len(rows)))
    return max(drift.psi for _, _, drift in monitor.drift())


def distances() -> None:
    """Print the first table."""
    print(f"| data | window | largest PSI of 20 resamples | a column moved by 1 s | by 2 s | threshold {PSI} |")
    print("| --- | ---: | ---: | ---: | ---: | --- |")
    random = np.random.default_rng(5)
    for name, load in (("wine", load_wine), ("breast cancer", load_breast_cancer), ("diabetes", load_diabetes)):
        rows = load().data
        profile = profile_table(rows)

        for window in (200, 1000):
            drawn = [rows[random.integers(len(rows), size=window)] for _ in range(20)]
            still = [largest(profile, given) for given in drawn]
            moved: dict[int, list[float]] = {1: [], 2: []}
            for times, found in moved.items():
                for at, given in enumerate(drawn):
                    shifted = given.copy()
                    column = at % rows.shape[1]
                    shifted[:, column] += times * rows[:, column].std()
                    found.append(largest(profile, shifted))
            fired = sum(psi > PSI for psi in still), *(sum(psi > PSI for psi in found) for found in moved.values())
            print(
                f"| {name} | {window} | {max(still):.3f} | {min(moved[1]):.2f} to {max(moved[1]):.2f} "
                f"| {min(moved[2]):.2f} to {max(moved[2]):.2f} | fired {fired[0]}, {fired[1]} and {fired[2]} of 20 |",
                flush=True,
            )


def alerts(servers: int) -> None:
    """Print how long it took until alerts fired."""
    rows, random = load_wine().data[:, :3].tolist(), np.random.default_rng(5)
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        folder = Path(place)
        environment = {**os.environ, "DSVC_USER_NAME": "Ada", "DSVC_USER_EMAIL": "a@example.org"}
        lines = [",".join(map(str, row)) for row in rows]
        (folder / "train.csv").write_text("\n".join(["alcohol,malic_acid,ash", *lines]) + "\n")
        (folder / "predictor.py").write_text(PREDICTOR)
        run(folder, environment, "init", "-q")
        run(folder, environment, "model", "add", "wine", "predictor.py", "--profile", "train.csv")

        workspace = open_workspace(folder, environment, ("bench",))
        write_model_folder(workspace, "wine", folder / "model")
        workspace.close()

        def start(*words: str, errors: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
            line, output = [sys.executable, "-m", *words], subprocess.PIPE
            process = subprocess.Popen(line, cwd=folder, env=environment, text=True, stdout=output, stderr=errors)
            stack.callback(process.wait)
            stack.callback(process.terminate)
            return process

        def said(process: subprocess.Popen[str]) -> str:
            assert process.stdout is not None
            return process.stdout.readline()

        def serve(name: str) -> str:
            words = ("--allow-pickle", "--port", "0", "--min-samples", str(ENOUGH), "--deployment", name)
            process = start("dsvc.serving", "model", *words, errors=subprocess.STDOUT)
            while "http" not in (line := said(process)):
                if not line:
                    raise SystemExit(f"{name} does not start")
            return line.split()[-1]

        found = {name: serve(name) for name in (f"s{at}" for at in range(servers))}
        targets = [word for address in found.values() for word in ("--target", address.removeprefix("http://"))]
        ports = ("--port", "0", "--alertmanager-port", "0", "--grafana-port", "0")
        watch = start("dsvc", "monitor", "up", "wine", *targets, "--interval", "1", *ports, "--json")
        scraped = 0
        while scraped < servers:
            scraped += json.loads(said(watch))["event"] == "scraped"
        took: list[float] = []
        for name, address in found.items():
            time.sleep(1 + len(took) / servers)  # at another moment between two scrapes
            drawn = [rows[at] for at in random.integers(len(rows), size=ENOUGH)]
            moved = json.dumps({"instances": [[a + 2, b, c] for a, b, c in drawn]}).encode()
            with urllib.request.urlopen(f"{address}/v1/models/wine:predict", moved, timeout=60) as answer:
                answer.read()
            began = time.monotonic()
            while True:
                event = json.loads(said(watch))
                labels = event.get("labels", {})
                if (event["event"], labels.get("deployment"), labels.get("feature")) == ("firing", name, "alcohol"):
                    break
            took.append(time.monotonic() - began)
        print(
            f"\n{servers} servers, scraped and evaluated each second: the alert fired {min(took):.1f} to "
            f"{max(took):.1f} s (median {statistics.median(took):.1f}) after the row that filled the window; limit 3 s"
        )


def main() -> None:
    """Print both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--servers", type=int, default=5)
    arguments = parser.parse_args()
    distances()
    alerts(arguments.servers)


if __name__ == "__main__":
    main()
