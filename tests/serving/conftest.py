"""A model of real data with all that is known of it, served once for all tests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.commands.conftest import CommandLine, cli
from tests.serving.served import Served, started

__all__ = ["cli"]

TRAIN = """
import csv
import dsvc
import numpy as np
from dsvc.integrations.sklearn import save
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
with dsvc.start_run("wine") as run:
    with open(run.input("wine.csv")) as file:
        names, *rows = csv.reader(file)
    table = np.array(rows, dtype=float)
    x, y = table[:, :-1], table[:, -1].astype(int)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(x, y)
    columns = {name: x[:, at] for at, name in enumerate(names[:-1])}
    run.profile(columns, outputs=model.predict(x))
    run.metric("score", float(model.score(x, y)))
    save(model, "model.skops", name="wine")
"""


@dataclass
class Wine:
    cli: CommandLine
    served: Served
    rows: list[list[float]]
    names: list[str]
    labels: list[int]


def write_wine(path: Path) -> tuple[list[str], list[list[float]], list[int]]:
    from sklearn.datasets import load_wine

    found = load_wine()
    names = [name.replace("/", "_per_") for name in found.feature_names]
    lines = [",".join([*names, "grower"])]
    pairs = zip(found.data.tolist(), found.target.tolist(), strict=True)
    lines += [",".join(map(repr, [*row, label])) for row, label in pairs]
    path.write_text("\n".join(lines) + "\n")
    return names, found.data.tolist(), found.target.tolist()


@pytest.fixture(scope="session")
def wine_project(tmp_path_factory):
    base = tmp_path_factory.mktemp("wine")
    (base / "project").mkdir()
    (base / "home").mkdir()
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(base / "home"),
        "LANG": "C.UTF-8",
        "DSVC_USER_NAME": "Ada Example",
        "DSVC_USER_EMAIL": "ada@example.com",
        "GIT_CONFIG_NOSYSTEM": "1",
    }
    line = CommandLine(base / "project", environment)
    line.ok("init", "-q")
    names, rows, labels = write_wine(line.directory / "wine.csv")
    (line.directory / "train.py").write_text(TRAIN)
    line.ok("commit", "-q", "-m", "data and training")
    done = subprocess.run(
        [sys.executable, "train.py"], cwd=line.directory, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "not recorded" not in done.stderr
    line.ok("commit", "-q", "-m", "model")
    line.ok("model", "add", "wine", "model.skops")
    return line, names, rows, labels


@pytest.fixture(scope="session")
def wine(wine_project) -> Iterator[Wine]:
    line, names, rows, labels = wine_project
    words = [sys.executable, "-m", "dsvc", "serve", "wine", "--port", "0", "--min-samples", "100", "--window", "500"]
    with started(words, line.environment, line.directory) as served:
        yield Wine(line, served, rows, names, labels)
