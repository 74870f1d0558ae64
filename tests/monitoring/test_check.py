"""`dsvc monitor check` compares a table with a model's profile, and hands what it found to a real Pushgateway."""

from __future__ import annotations

import base64
import http.server
import json
import random
import shutil
import signal
import subprocess
import sys
import threading
import urllib.request

import pyarrow as pa
import pytest
from pyarrow import parquet

from dsvc.monitoring.prometheus import query
from tests.commands.conftest import cli
from tests.json_page import documented
from tests.monitoring.test_prometheus import until
from tests.servers.ports import free_port
from tests.serving.served import TIMEOUT

__all__ = ["cli"]

ROWS = 20_000  # more than are read at once


def columns(mean=0.0, rows=ROWS, towns="abc"):
    """A seed of its own for each table, so that two of them are two samples."""
    draw = random.Random(f"{mean} {rows} {towns}")
    return {
        "age": [None if at % 10 == 0 else draw.gauss(mean, 1) for at in range(rows)],
        "town": [draw.choice(towns) for _ in range(rows)],
        "note": ["not of the model"] * rows,
        "bought": [draw.randrange(2) for _ in range(rows)],
    }


def write_csv(path, table, names=("age", "town", "bought")):
    lines = [",".join(names)]
    lines += [",".join("" if v is None else str(v) for v in row) for row in zip(*map(table.get, names), strict=True)]
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture
def model(cli):
    cli.ok("init", "-q")
    write_csv(cli.directory / "train.csv", columns())
    (cli.directory / "predictor.py").write_text("predict = lambda rows: rows.sum(axis=1)\n")
    cli.ok("model", "add", "team/wine", "predictor.py", "--profile", "train.csv", "--target", "bought")
    return cli


def read(address):
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return answer.read().decode()
    except OSError:
        return ""


@pytest.fixture
def gateway(tmp_path):
    """The address of a Pushgateway."""
    program = shutil.which("prometheus-pushgateway")
    if program is None:
        pytest.skip("not installed: prometheus-pushgateway")
    address = f"127.0.0.1:{free_port()}"
    with (tmp_path / "pushgateway.log").open("wb") as log:
        process = subprocess.Popen(
            [program, f"--web.listen-address={address}", "--persistence.file="], stdout=log, stderr=log
        )
    try:
        until(lambda: read(f"http://{address}/-/ready"), "the Pushgateway does not answer")
        yield address
    finally:
        process.terminate()
        process.wait(TIMEOUT)


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_column_that_moved_is_found_and_a_sample_of_the_same_is_not(model, form):
    for name, mean in (("same", 0.001), ("moved", 1.0)):
        if form == "csv":
            write_csv(model.directory / f"{name}.csv", columns(mean), ("note", "town", "age"))
        else:
            table = columns(mean)
            del table["bought"]
            parquet.write_table(pa.table(table), model.directory / f"{name}.parquet")
    shown = model.ok("monitor", "check", "team/wine", f"same.{form}")
    assert shown.out.split()[:6] == ["SIDE", "COLUMN", "PSI", "JS", "KS", "MISSING"]
    assert [line.split()[:2] for line in shown.out.splitlines()[1:]] == [["input", "age"], ["input", "town"]]
    assert "20,000 rows beside team/wine@1: no column is above 0.2" in shown.err
    moved = model("monitor", "check", "team/wine", f"moved.{form}", "--json")
    assert [moved.json["version"], list(moved.json)[2:]] == list(documented()[moved.json["schema"]])
    assert (moved.code, moved.json["ok"], moved.json["rows"], moved.json["pushed"]) == (1, False, ROWS, None)
    age, town = moved.json["columns"]
    assert (age["drifting"], age["missing"], age["missing_in_training"]) == (True, 0.1, 0.1)
    assert (age["psi"] > 0.2, age["js"] > 0.2, 0.3 < age["ks"] < 0.5) == (True, True, True)
    assert (town["drifting"], town["ks"], town["psi"] < 0.01) == (False, None, True)
    assert "above 0.2 is age" in model("monitor", "check", "team/wine@1", f"moved.{form}").err
    assert model("monitor", "check", "team/wine", f"moved.{form}", "--psi", "50").code == 0


def test_answers_are_compared_where_they_are_in_the_table(model):
    write_csv(model.directory / "batch.csv", {**columns(0.001), "bought": [1] * ROWS})
    found = model("monitor", "check", "team/wine", "batch.csv", "--json")
    assert [each["name"] for each in found.json["columns"] if each["drifting"]] == ["bought"]
    assert (found.code, found.json["columns"][-1]["side"]) == (1, "output")


def test_codes_that_are_all_digits_stay_texts(cli):
    """What was text in training is text here, even in a file where every value could be a number."""
    cli.ok("init", "-q")
    kinds = ["007", "01", "x"]
    write_csv(cli.directory / "train.csv", {"code": kinds * 200, "size": [1, 2, 3] * 200}, ("code", "size"))
    write_csv(cli.directory / "batch.csv", {"code": ["007"] * 300 + ["01"] * 300, "size": [1, 2, 3] * 200},
              ("code", "size"))  # fmt: skip
    (cli.directory / "predictor.py").write_text("predict = lambda rows: rows\n")
    cli.ok("model", "add", "coded", "predictor.py", "--profile", "train.csv")
    [code, _] = cli("monitor", "check", "coded", "batch.csv", "--json").json["columns"]
    known = cli("monitor", "check", "coded", "train.csv", "--json").json["columns"][0]
    assert known["psi"] == 0
    assert 0.3 < code["js"] < 0.6  # a third is gone; of values that nobody knows it would be 1


def test_what_cannot_be_compared_is_said(model):
    write_csv(model.directory / "few.csv", columns(rows=50))
    write_csv(model.directory / "narrow.csv", columns(rows=300), ("town", "note"))
    (model.directory / "empty.csv").write_text("age,town\n")
    (model.directory / "odd.csv").write_text("age,town\n1,a\n1\n")
    (model.directory / "odd.parquet").write_bytes(b"PAR1")
    model.ok("model", "add", "bare", "predictor.py")
    refusals = {
        ("team/wine", "few.csv"): "has 50 rows, and drift is told of 200 at least",
        ("team/wine", "empty.csv"): "has 0 rows",
        ("team/wine", "narrow.csv"): "the table has no column 'age', which the model has",
        ("team/wine", "odd.csv"): "row 2 of",
        ("team/wine", "odd.parquet"): "is no Parquet file",
        ("team/wine", "gone.csv"): "gone.csv cannot be read: No such file or directory",
        ("team/wine", "."): "cannot be read: Is a directory",
        ("team/wine@7", "train.csv"): "has no version 7",
        ("beer", "train.csv"): "there is no model beer",
        ("bare", "train.csv"): "bare@1 has no profile",
    }
    for words, said in refusals.items():
        done = model("monitor", "check", *words)
        assert (done.code, said in done.err, done.out) == (3, True, ""), (words, done.err)
    assert model.ok("monitor", "check", "team/wine", "few.csv", "--min-samples", "50").out
    for _ in range(2):  # a profile for the same files makes a version, once
        model.ok("model", "add", "bare", "predictor.py", "--profile", "train.csv")
    assert "beside bare@2" in model.ok("monitor", "check", "bare", "train.csv").err
    for words in (("--psi", "nan"), ("--min-samples", "0"), ("--push", "gateway:9091"), ("--push", "http://x:y")):
        assert model("monitor", "check", "team/wine", "train.csv", *words).code == 2, words


def test_a_gateway_that_is_not_there_and_a_password_that_nobody_sees(model):
    nowhere = f"127.0.0.1:{free_port()}"
    done = model("monitor", "check", "team/wine", "train.csv", "--push", f"http://ada:secret@{nowhere}")
    assert (done.code, f"http://{nowhere} does not answer" in done.err) == (14, True)
    assert "team/wine@1" in done.err  # what was found is shown all the same
    assert "secret" not in done.out + done.err
    told = model("monitor", "check", "team/wine", "train.csv", "--push", f"http://{nowhere}", "--json")
    assert (told.code, told.out, json.loads(told.err)["schema"]) == (14, "", "dsvc.error")


def test_name_and_password_are_sent_and_a_refusal_is_shown(model):
    seen = []

    class Guard(http.server.BaseHTTPRequestHandler):
        def do_PUT(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            seen.append(self.headers["Authorization"])
            self.send_response(403)
            self.end_headers()
            self.wfile.write(b"not on Sundays\n")

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Guard)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f"http://ada:se%40cret@127.0.0.1:{server.server_port}"
        done = model("monitor", "check", "team/wine", "train.csv", "--push", address)
    finally:
        server.shutdown()
        server.server_close()
    assert seen == ["Basic " + base64.b64encode(b"ada:se@cret").decode()]
    assert (done.code, "refuses what is pushed: not on Sundays" in done.err) == (14, True)


def test_a_later_push_takes_the_place_of_one_before(model, gateway):
    write_csv(model.directory / "moved.csv", columns(1.0))
    words = ("monitor", "check", "team/wine", "moved.csv", "--push", f"http://{gateway}/", "--json")
    done = model(*words)
    assert (done.code, done.json["pushed"]) == (1, f"http://{gateway}")
    series = pushed(gateway)
    assert series["dsvc_drift_psi", "age"] == pytest.approx(done.json["columns"][0]["psi"])
    assert (series["dsvc_drift_samples", ""], series["dsvc_drift_enough_data", ""]) == (ROWS, 1)
    assert ("dsvc_drift_ks", "age") in series
    assert ("dsvc_drift_ks", "town") not in series
    assert ("dsvc_drift_js", "bought") in series
    model.ok("model", "add", "team/wine", "predictor.py", "--profile", "moved.csv")
    model.ok(*words)
    lines = [line for line in read(f"http://{gateway}/metrics").splitlines() if line.startswith("dsvc_")]
    assert all('version="2"' in line for line in lines)
    assert not [line for line in lines if 'side="output"' in line]  # all columns are inputs of the second version
    assert pushed(gateway)["dsvc_drift_psi", "age"] == 0


def pushed(gateway):
    """Series of the model: (name, feature) -> value."""
    found = {}
    for line in read(f"http://{gateway}/metrics").splitlines():
        if line.startswith("dsvc_") and 'model="team/wine"' in line:
            assert 'job="dsvc-team-wine"' in line
            feature = line.partition('feature="')[2].partition('"')[0]
            found[line.partition("{")[0], feature] = float(line.rpartition(" ")[2])
    return found


@pytest.mark.skipif(shutil.which("prometheus") is None, reason="not installed: prometheus")
def test_the_generated_alert_fires_on_what_was_pushed_and_ends_with_a_push_of_the_same(model, gateway, tmp_path):
    write_csv(model.directory / "moved.csv", columns(1.0))
    write_csv(model.directory / "same.csv", columns(0.001))
    push = ("--push", f"http://{gateway}")
    assert model("monitor", "check", "team/wine", "moved.csv", *push).code == 1
    up = [sys.executable, "-m", "dsvc", "monitor", "up", "team/wine", "--target", gateway, "--interval", "1",
          "--port", "0", "--alertmanager-port", "0", "--dir", str(tmp_path / "kept"), "--json"]  # fmt: skip
    process = subprocess.Popen(
        up, cwd=model.directory, stdout=subprocess.PIPE, env=model.environment, text=True, start_new_session=True
    )
    said = []
    reader = threading.Thread(target=lambda: said.extend(map(json.loads, process.stdout)), daemon=True)
    reader.start()

    def told(event):
        found = [each["labels"] for each in list(said) if each["event"] == event]
        return [each for each in found if each.get("alertname") == "DsvcDrift"]

    try:
        until(lambda: said or process.poll() is not None, "nothing was said")
        address = said[0]["labels"]["prometheus"]
        fired = until(lambda: told("firing"), "no alert fires")
        assert {(each["model"], each["version"], each["side"], each["feature"]) for each in fired} == {
            ("team/wine", "1", "input", "age")
        }
        [status] = model.ok("monitor", "status", "team/wine", "--prometheus", address, "--json").json["servers"]
        assert (status["psi"] > 0.2, status["samples"]) == (True, ROWS)
        assert query(address, 'time() - push_time_seconds{model="team/wine"} < 3600')
        model.ok("monitor", "check", "team/wine", "same.csv", *push)
        until(lambda: told("ended"), "the alert does not end")
        assert not [each for each in said if each["labels"].get("alertname") == "DsvcModelDown"]
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(TIMEOUT) == 0
