"""What a model was asked is kept for the next training: bounded, after a kill, and on a branch that merges."""

from __future__ import annotations

import json
import shutil
import sys
import time

import numpy as np
import pytest
from pyarrow import parquet

from dsvc.serving import prediction_log
from dsvc.serving.journal import Journal, finish, take_up, to_parquet
from dsvc.serving.prediction_log import PredictionLog
from dsvc.serving.predictor import Rows
from tests.commands.conftest import CommandLine
from tests.environments.wheels import make_venv
from tests.json_page import documented
from tests.serving.served import TIMEOUT, started

FACTS = {"model": "wine", "version": "1", "commit": ""}


@pytest.fixture
def project(wine_project, tmp_path):
    """A copy of the project, with its command line."""
    line, _, rows, _ = wine_project
    shutil.copytree(line.directory, tmp_path / "project", symlinks=True)
    return CommandLine(tmp_path / "project", {**line.environment, "HOME": str(tmp_path)}), rows


def until(find, what):
    deadline = time.monotonic() + TIMEOUT
    while not (found := find()):
        assert time.monotonic() < deadline, what
        time.sleep(0.05)
    return found


def asked(cli, rows, *words, kill=False):
    """Serve, ask for each row, and end."""
    serve = [sys.executable, "-m", "dsvc", "serve", "wine", "--port", "0", "--log-predictions", "1", *words]
    with started(serve, cli.environment, cli.directory) as served:
        for row in rows:
            assert served.ask("/v1/models/wine:predict", {"instances": [row]}).status == 200
        if kill:
            journals = cli.directory / ".dsvc" / "feedback" / "wine"
            written = lambda: sum(path.read_bytes().count(b"\n") for path in journals.glob("*.journal"))  # noqa: E731
            until(lambda: written() == len(rows) + 1, "the requests were not written")
            served.process.kill()
        else:
            served.process.terminate()
        served.process.wait(TIMEOUT)


def test_it_is_committed_when_the_server_ends_and_merges_into_the_next_training_set(project):
    cli, rows = project
    asked(cli, rows[:7])
    found = cli.ok("log", "--oneline", "feedback/wine").out
    assert "What wine was asked, and what it answered: 7 rows in one file" in found
    assert not list((cli.directory / ".dsvc" / "feedback" / "wine").iterdir())
    assert not (cli.directory / "feedback").exists()
    (cli.directory / "notes.md").write_text("meanwhile\n")
    cli.ok("commit", "-q", "-m", "meanwhile on main")
    cli.ok("merge", "-q", "feedback/wine")
    table = parquet.read_table(cli.directory / "feedback" / "wine")
    assert table.num_rows == 7
    assert sorted(table["alcohol"].to_pylist()) == sorted(row[0] for row in rows[:7])
    assert set(table["_version"].to_pylist()) == {"1"}


def test_a_killed_server_leaves_what_it_wrote(project):
    cli, rows = project
    asked(cli, rows[:3], kill=True)
    assert cli("rev-parse", "feedback/wine").code != 0
    done = cli.ok("monitor", "collect", "wine", "--json").json
    assert [done["version"], list(done)[2:]] == list(documented()[done["schema"]])
    assert (done["branch"], done["files"], done["rows"]) == ("feedback/wine", 1, 3)
    again = cli.ok("monitor", "collect", "wine", "--json").json
    assert (again["commit"], again["files"], again["rows"]) == (done["commit"], 0, 0)


def test_folders_of_containers_are_collected_once(project, tmp_path):
    """Lines, as a server without a library for Parquet leaves them, in the documented form."""
    cli, _ = project
    folder = tmp_path / "from" / "containers"
    folder.mkdir(parents=True)
    lines = [
        {"schema": "dsvc.feedback", "schema_version": 1, "model": "wine", "version": "2", "commit": ""},
        [1767225600000000, 2, {"alcohol": [13.5, None], "grower": ["a", "b"], "predict": [1, 0]}],
        [1767225601000000, 1, {"alcohol": [12.0], "grower": ["c"], "predict": [1]}],
    ]
    whole = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "wine-2-20260101T000000-0a1b2c3d.jsonl").write_text(whole + '[1767225602000000, 1, {"alcohol": [1')
    (folder / "beer-1-20260101T000000-0a1b2c3d.jsonl").write_text(whole.replace('"wine"', '"beer"'))
    (folder / "half.parquet").write_bytes(b"PAR1")
    make_venv(tmp_path / "venv")
    cli.environment["VIRTUAL_ENV"] = str(tmp_path / "venv")
    cli.ok("env", "lock", "-q")
    cli.ok("commit", "-q", "-m", "with an environment")
    done = cli.ok("monitor", "collect", "wine", str(folder), "--json")
    assert (done.json["files"], done.json["rows"]) == (1, 3)
    assert "beer-1" in done.err
    assert "half.parquet" in done.err
    cli.ok("switch", "-q", "feedback/wine")
    same = [cli.ok("env", "show", each, "--json").json["environment"] for each in ("HEAD", "main")]
    assert same[0] == same[1]  # its code is that of the commit below, and so is what it runs with
    table = parquet.read_table(next((cli.directory / "feedback" / "wine").iterdir())).to_pydict()
    assert table["alcohol"] == [13.5, None, 12.0]
    assert table["grower"] == ["a", "b", "c"]
    assert [moment.second for moment in table["_time"]] == [0, 0, 1]
    refused = cli("monitor", "collect", "wine", str(folder))
    assert (refused.code, "is checked out" in refused.err) == (3, True)
    cli.ok("switch", "-q", "main")
    assert cli.ok("monitor", "collect", "wine", str(folder), "--json").json["rows"] == 0
    cli.ok("monitor", "collect", "-q", "wine", str(folder), "--remove")
    assert sorted(path.name for path in folder.iterdir()) == ["beer-1-20260101T000000-0a1b2c3d.jsonl", "half.parquet"]
    assert cli("monitor", "collect", "wine", str(tmp_path / "none")).code == 3


def test_a_slow_or_broken_disk_costs_rows_and_neither_time_nor_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(prediction_log, "_WAITING", 1000)
    folder = tmp_path / "log"
    log = PredictionLog(folder, 1.0, FACTS, ["a", "b"])
    shutil.rmtree(folder)  # as when a volume is taken away
    for _ in range(300):
        log.add(Rows(4, np.ones((4, 2))), np.zeros(4))
    log.close()
    assert log.counts == {"kept": 0, "dropped": 1200}


def test_files_are_finished_by_rows_and_in_time(tmp_path):
    log = PredictionLog(tmp_path, 1.0, FACTS, ["a"], rows=5)
    for _ in range(12):
        log.add(Rows(1, np.ones((1, 1))), np.zeros(1))
    log.close()
    assert sorted(parquet.read_metadata(path).num_rows for path in tmp_path.glob("*.parquet")) == [2, 5, 5]
    patient = PredictionLog(tmp_path / "timed", 1.0, FACTS, ["a"], patience=0.1)
    patient.add(Rows(1, np.ones((1, 1))), np.zeros(1))
    until(lambda: list((tmp_path / "timed").glob("*.parquet")), "a file was not finished in time")
    patient.close()


def test_where_nothing_writes_parquet_lines_stay(tmp_path, monkeypatch):
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "pyarrow", None)
        log = PredictionLog(tmp_path, 1.0, FACTS, ["a"])
        log.add(Rows(2, np.array([[1.5], [np.nan]])), np.array(["yes", "no"]))
        log.close()
    [path] = tmp_path.iterdir()
    assert path.suffix == ".jsonl"
    table = parquet.read_table(to_parquet(path)).to_pydict()
    assert (table["a"], table["predict"]) == ([1.5, None], ["yes", "no"])


def test_a_journal_belongs_to_who_locks_it(tmp_path):
    journal = Journal(tmp_path / "a.journal", FACTS)
    journal.add(1, 1, {"x": [1.5]})
    journal.flush()
    assert take_up(tmp_path) == []
    assert [path.suffix for path in [journal.finish()]] == [".parquet"]
    empty = Journal(tmp_path / "b.journal", FACTS)
    assert empty.finish() is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.parquet"]


def test_what_was_broken_off_while_it_was_finished(tmp_path):
    """The table is there and the journal still is: the same table is made again."""
    journal = Journal(tmp_path / "a.journal", FACTS)
    journal.add(1, 2, {"x": [1.5, 2.5], "y": ["text", 3]})
    journal.flush()
    kept = (tmp_path / "a.journal").read_bytes()
    first = journal.finish().read_bytes()
    (tmp_path / "a.journal").write_bytes(kept)
    assert finish(tmp_path / "a.journal").read_bytes() == first
    assert parquet.read_table(tmp_path / "a.parquet")["y"].to_pylist() == ["text", "3"]
