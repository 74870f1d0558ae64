"""The program that images start: whom it trusts, how it ends, tokens, TLS, batches."""

from __future__ import annotations

import json
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from dsvc.actions.model_folder import write_model_folder
from dsvc.serving.__main__ import main
from dsvc.tracking.opening import open_workspace
from tests.commands.conftest import cli
from tests.serving.served import TIMEOUT, serving

__all__ = ["cli"]

SLOW = """
import time
calls = []
def predict(rows):
    calls.append(len(rows))
    time.sleep(float(rows[0][0]))
    return [len(calls)] * len(rows)
"""


@pytest.fixture
def run(capfd):
    """Run the program in this process, where it ends at once; return its exit code and what it said."""

    def run(*words, environment=None):
        code = main(list(map(str, words)), environment or {})
        return code, capfd.readouterr().err

    return run


@pytest.fixture
def slow(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "predictor.py").write_text(SLOW)
    return tmp_path / "model"


def test_what_is_under_way_ends_before_the_program(slow):
    with serving(slow, "--allow-pickle") as served, ThreadPoolExecutor() as pool:
        late = pool.submit(served.ask, "/v1/models/model:predict", {"instances": [[1.5]]})
        deadline = time.monotonic() + TIMEOUT
        while 'dsvc_in_flight{model="model",version="0"} 1.0' not in served.ask("/metrics").body.decode():
            assert time.monotonic() < deadline
        served.process.send_signal(signal.SIGTERM)
        assert late.result().json == {"predictions": [1]}
        assert served.process.wait(TIMEOUT) == 0


def test_rows_of_requests_that_wait_are_asked_together(slow):
    with serving(slow, "--allow-pickle", "--batch", "100") as served, ThreadPoolExecutor(12) as pool:
        asked = [pool.submit(served.ask, "/v1/models/model:predict", {"instances": [[0.5]] * 2}) for _ in range(12)]
        found = [each.result().json["predictions"] for each in asked]
    assert all(len(each) == 2 for each in found)
    assert max(each[0] for each in found) < 6  # calls of the model


def test_a_request_that_fails_does_not_take_others_with_it(tmp_path):
    code = "def predict(rows):\n    if (rows < 0).any():\n        raise ValueError('secret')\n    return rows[:, 0]\n"
    (tmp_path / "predictor.py").write_text(code)
    words = ("--allow-pickle", "--batch", "50", "--batch-wait", "50")
    with serving(tmp_path, *words) as served, ThreadPoolExecutor(9) as pool:
        asked = [pool.submit(served.ask, "/v1/models/model:predict", {"instances": [[at]]}) for at in range(-1, 8)]
        bad, *good = [each.result() for each in asked]
        assert (bad.status, "secret" in bad.body.decode()) == (500, False)
        assert [each.json["predictions"] for each in good] == [[float(at)] for at in range(8)]
        served.process.terminate()
        served.process.wait(TIMEOUT)
    assert "secret" in b"".join(served.said).decode()


def test_a_token_of_its_own_opens_the_metrics_alone(slow, tmp_path):
    (tmp_path / "token").write_text("open sesame\n")
    (tmp_path / "metrics").write_text("only look\n")
    words = (slow, "--allow-pickle", "--token-file", str(tmp_path / "token"))

    def codes(served, path):
        tokens = ({}, {"Authorization": "Bearer only look"}, {"Authorization": "Bearer open sesame"})
        return [served.ask(path, headers=headers).status for headers in tokens]

    with serving(*words, "--metrics-token-file", str(tmp_path / "metrics")) as served:
        assert codes(served, "/metrics") == codes(served, "/metrics/") == [401, 200, 200]
        assert codes(served, "/provenance") == [401, 401, 200]
    with serving(*words, "--open-metrics") as served:
        assert codes(served, "/metrics") == [200, 200, 200]
        assert codes(served, "/provenance") == [401, 401, 200]


def test_a_token_is_asked_for(slow, tmp_path):
    (tmp_path / "token").write_text("open sesame\n")
    with serving(slow, "--allow-pickle", "--token-file", str(tmp_path / "token")) as served:
        assert served.ask("/v2/health/ready").status == 200
        for headers in ({}, {"Authorization": "Bearer open"}, {"Authorization": "open sesame"}):
            answer = served.ask("/metrics", headers=headers)
            assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
        for scheme in ("Bearer", "bearer"):
            assert served.ask("/metrics", headers={"Authorization": f"{scheme} open sesame"}).status == 200


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_tls(slow, tmp_path):
    made = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    subprocess.run([*made.split(), "-keyout", "key", "-out", "cert"], cwd=tmp_path, check=True, capture_output=True)
    words = ("--tls-cert", str(tmp_path / "cert"), "--tls-key", str(tmp_path / "key"))
    with serving(slow, "--allow-pickle", *words) as served:
        assert served.address.startswith("https://")
        context = ssl.create_default_context(cafile=str(tmp_path / "cert"))
        assert served.ask("/v2/health/live", context=context).json == {"live": True}


def test_files_with_which_nobody_can_speak_tls(slow, tmp_path):
    file = tmp_path / "key"
    file.write_text("no key\n")
    words = ("--port", "0", "--allow-pickle", "--tls-cert", str(file), "--tls-key", str(file))
    said = subprocess.run(
        [sys.executable, "-m", "dsvc.serving", str(slow), *words],
        capture_output=True, text=True, check=False, timeout=TIMEOUT,
    )  # fmt: skip
    assert said.returncode == 3
    assert said.stderr.startswith(f"dsvc: the certificate {file} and the key {file} cannot be used: ")


def test_options_come_from_variables_too(slow):
    given = {"NAME": "sleeper", "ALLOW_PICKLE": "1", "DEPLOYMENT": "eu", "MAX_BODY": "100"}
    environment = {f"DSVC_SERVE_{name}": value for name, value in given.items()}
    with serving(slow, "--name", "typed", environment=environment) as served:
        told = served.ask("/provenance").json
        assert (told["served_as"], told["deployment"]) == ("typed", "eu")
        assert served.ask("/v1/models/typed:predict", b" " * 101).status == 413


@pytest.mark.parametrize(
    ("words", "environment", "says"),
    [
        (["--port", "x"], {}, "invalid int value"),
        (["--port", "99999"], {}, "no port"),
        (["--tls-cert", "a"], {}, "go together"),
        (["--min-samples", "2000"], {}, "from 1 to --window"),
        (["--log-predictions", "2"], {}, "share from 0 to 1"),
        ([], {"DSVC_SERVE_PORT": "many"}, "DSVC_SERVE_PORT has the value 'many'"),
        ([], {"DSVC_SERVE_ALLOW_PICKLE": "maybe"}, "takes 0 or 1"),
    ],
)
def test_options_that_make_no_sense(run, tmp_path, words, environment, says):
    code, said = run(tmp_path, *words, environment=environment)
    assert (code, says in said) == (2, True), said
    assert said.startswith("dsvc: ")


def write_folder(line, destination):
    workspace = open_workspace(line.directory, line.environment, ("test",))
    try:
        write_model_folder(workspace, "wine", destination)
    finally:
        workspace.close()


@pytest.fixture
def folder(wine_project, tmp_path):
    """The folder of a model as images have it."""
    line, *_ = wine_project
    write_folder(line, tmp_path / "wine")
    return tmp_path / "wine"


def test_the_folder_alone_is_enough(folder, wine):
    with serving(folder) as served:
        assert served.ask("/provenance").json["commit"] == wine.served.ask("/provenance").json["commit"]
        asked = "/v1/models/wine:predict", {"instances": wine.rows}
        assert served.ask(*asked).json == wine.served.ask(*asked).json


def test_the_same_version_gives_the_same_folder(folder, wine_project, tmp_path):
    line, *_ = wine_project
    write_folder(line, tmp_path / "again")
    for path in sorted(folder.rglob("*")):
        assert path.read_bytes() == (tmp_path / "again" / path.relative_to(folder)).read_bytes()


def test_a_file_that_is_not_what_the_record_says(run, folder):
    with (folder / "model.skops").open("r+b") as file:
        file.seek(100)
        file.write(b"x")
    code, said = run(folder)
    assert (code, "model.skops of the model is not what its record says" in said) == (15, True), said


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        ({"schema_version": 2}, 16, "has the version 2"),
        ({"schema": "other"}, 15, "not the record of a model"),
        ({"files": [{"path": "../x", "size": 1, "blake3": "00"}]}, 15, "not in the folder"),
        ({"files": [{"path": "missing", "size": 1, "blake3": "00"}]}, 15, "cannot be read"),
        ({"signature": {"inputs": [{"name": "a"}]}}, 15, "without a name and a known type"),
        ({"profile": {"profile_version": 9}}, 3, "version 9"),
    ],
)
def test_a_record_that_is_not_of_its_form(run, folder, change, code, says):
    path = folder / "dsvc-model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    ended, said = run(folder)
    assert (ended, says in said) == (code, True), said


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")
def test_a_pickle_that_an_allowed_signer_committed_is_served(cli, tmp_path):
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    (tmp_path / "signers").write_text(f"ada@example.com {key.with_suffix('.pub').read_text()}")
    cli.ok("init", "-q")
    cli.ok("config", "user.signingKey", str(key))
    (cli.directory / "predictor.py").write_text("def predict(rows):\n    return rows.sum(axis=1)\n")
    cli.ok("commit", "-q", "-m", "unsigned")
    cli.ok("model", "add", "sum", "predictor.py")
    refused = cli("serve", "sum", "--check")
    assert (refused.code, "no allowed signer signed a commit that holds it" in refused.err) == (3, True)
    cli.ok("commit", "-q", "--allow-empty", "--sign", "-m", "signed")
    assert cli("serve", "sum", "--check").code == 3, "nobody is allowed to sign yet"
    cli.ok("config", "sign.allowedSigners", str(tmp_path / "signers"))
    assert cli.ok("serve", "sum", "--check", "--json").json["trusted"] is True
    (cli.directory / "predictor.py").write_text("def predict(rows):\n    return rows.prod(axis=1)\n")
    cli.ok("model", "add", "sum", "predictor.py")
    assert cli("serve", "sum", "--check").code == 3, "the signed commit has another file"
    assert cli.ok("serve", "sum@1", "--check").out == "sum 1 can be served (python)\n"


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")
def test_a_pickle_of_a_run_that_an_allowed_signer_signed_is_served(cli, tmp_path):
    """The signature is a tag of the run's record; it is for the files that the run wrote, and no others."""
    for name in ("key", "other"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name], check=True)
    (tmp_path / "signers").write_text(f"ada@example.com {(tmp_path / 'key.pub').read_text()}")
    cli.ok("init", "-q")
    cli.ok("config", "sign.allowedSigners", str(tmp_path / "signers"))
    code = "def predict(rows):\\n    return rows.sum(axis=1)\\n"
    script = f"mkdir -p m; printf '{code}' > m/predictor.py; printf 1 > m/weights"
    run = cli.ok("run", "--json", "--", "sh", "-c", script).json["run"]
    cli.ok("commit", "-q", "-m", "unsigned")
    cli.ok("model", "add", "sum", "m")
    assert cli("serve", "sum", "--check").code == 3
    cli.ok("config", "user.signingKey", str(tmp_path / "other"))
    cli.ok("tag", "-s", "-m", "not mine to say", "seen-by-another", f"runs/{run}")
    assert cli("serve", "sum", "--check").code == 3, "not an allowed signer"
    cli.ok("config", "user.signingKey", str(tmp_path / "key"))
    cli.ok("tag", "-s", "-m", "looked through", "checked", f"runs/{run}")
    assert cli.ok("serve", "sum", "--check", "--json").json["trusted"] is True
    cli.ok("verify-tag", "checked")
    (cli.directory / "m" / "weights").write_text("2")
    cli.ok("model", "add", "sum", "m")
    answer = cli("serve", "sum", "--check")
    assert answer.code == 3, "another file than the run wrote"


def test_a_port_that_is_taken(run, slow):
    with serving(slow, "--allow-pickle") as served:
        code, said = run(slow, "--allow-pickle", "--port", served.address.rpartition(":")[2])
    assert (code, "nobody can listen on 127.0.0.1:" in said) == (3, True), said


def test_many_at_once_are_all_answered(wine):
    wrong = []

    def ask(at):
        answer = wine.served.ask("/v1/models/wine:predict", {"instances": [wine.rows[at % 178]] * (1 + at % 3)})
        if answer.status != 200 or len(answer.json["predictions"]) != 1 + at % 3:
            wrong.append(answer)

    threads = [threading.Thread(target=lambda at=at: [ask(at + n) for n in range(10)]) for at in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_sample_of_requests_is_written_for_the_next_training(folder, wine, tmp_path):
    from pyarrow import parquet

    words = ("--log-predictions", "0.5", "--log-dir", str(tmp_path / "log"))
    with serving(folder, *words) as served:
        for row, label in zip(wine.rows, wine.labels, strict=True):
            assert served.ask("/v1/models/wine:predict", {"instances": [row, row]}).status == 200, label
        served.process.terminate()
        assert served.process.wait(TIMEOUT) == 0
    table = parquet.read_table(tmp_path / "log")
    assert table.column_names == ["_time", "_version", *wine.names, "predict"]
    assert 0.25 < table.num_rows / (2 * len(wine.rows)) < 0.75
    known = {tuple(row) for row in wine.rows}
    assert all(tuple(row[name] for name in wine.names) in known for row in table.to_pylist())
    assert [path.suffix for path in (tmp_path / "log").iterdir()] == [".parquet"]


def test_a_log_that_cannot_be_written_is_said_at_once(run, folder, tmp_path):
    (tmp_path / "file").write_text("")
    code, said = run(folder, "--log-predictions", "1", "--log-dir", tmp_path / "file" / "log")
    assert (code, "cannot be made" in said) == (3, True), said
