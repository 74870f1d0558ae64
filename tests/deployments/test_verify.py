"""`dsvc verify URL`: from a live endpoint back to the data."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.images.shop import Shop
from tests.servers.ports import free_port


@contextmanager
def served(shop: Shop, folder: Path, **variables: str) -> Iterator[str]:
    """The server of the image on the files of the image, and its address."""
    port = free_port()
    (packages,) = (shop.venv / "lib").glob("python*/site-packages")
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(packages), "DSVC_SERVE_ALLOW_PICKLE": "1",
                   "DSVC_SERVE_PORT": str(port), **variables}  # fmt: skip
    words = [sys.executable, "-m", "dsvc.serving", str(folder)]
    process = subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert "serving churn" in line, line + process.stderr.read()
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def test_from_an_endpoint_to_the_data(shop: Shop, tmp_path: Path):
    shop.cli.ok("deploy", "churn", "--to", "systemd", "--base", str(shop.base))
    (root,) = (shop.cli.directory / "deploy" / "churn").glob("root-*")
    with served(shop, root / "model", DSVC_SERVE_DEPLOYMENT="churn") as url:
        answer = shop.cli.ok("verify", url, "--json").json
        marks = {each["what"]: each["mark"] for each in answer["edges"]}
        assert marks == {"deployment": "proved", "image": "claimed", "model": "proved", "commit": "proved",
                         "run": "proved", "environment": "proved", "data": "proved"}  # fmt: skip
        assert answer["mark"] == "claimed"
        assert answer["served"]["run"] == shop.cli.ok("model", "show", "--json", "churn").json["run"]
        shop.train("b")
        shop.cli.ok("deploy", "churn", "--base", str(shop.base))
        answer = shop.cli("verify", url)  # it still serves the older one
        assert answer.code == 1
        assert "churn is recorded as churn@2, and the endpoint says that it serves churn@1" in answer.out
    assert shop.cli("verify", url).code == 14


def test_what_was_made_up_is_found(shop: Shop):
    shop.cli.ok("deploy", "churn", "--to", "systemd", "--base", str(shop.base))
    (root,) = (shop.cli.directory / "deploy" / "churn").glob("root-*")
    record = root / "model" / "dsvc-model.json"
    run = shop.cli.ok("model", "show", "--json", "churn").json["run"]
    record.write_text(record.read_text().replace(run, "0" * 32))
    with served(shop, root / "model") as url:
        answer = shop.cli("verify", url, "--json")
    assert (answer.code, answer.json["mark"]) == (1, "missing")
    assert "says otherwise than churn@1: run" in answer.json["edges"][-1]["text"]


def test_lineage_and_log_show_what_is_deployed(shop: Shop):
    shop.cli.ok("deploy", "churn", "--to", "manifest", "--base", str(shop.base))
    assert "deployment: churn" in shop.cli.ok("log", "--graph", "--decorate").out
    assert "deployments/churn" in shop.cli.ok("lineage", "deployments/churn").out
    graph = shop.cli.ok("lineage", "--down", "visits.csv", "--json").json
    tips = {node["path"]: node["tips"] for node in graph["nodes"] if node["kind"] == "file"}
    assert "deployments/churn" in tips["model/predictor.py"]
    assert "churn@1" in shop.cli.ok("show", "deployments/churn").out
