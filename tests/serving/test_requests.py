"""Requests to a served model: both protocols, what is refused and how, and where the model says it comes from."""

from __future__ import annotations

import json
import re

import pytest

PREDICT, INFER = "/v1/models/wine:predict", "/v2/models/wine/infer"


def tensor(data, shape, name="x", datatype="FP64"):
    return {"name": name, "shape": shape, "datatype": datatype, "data": data}


def test_rows_as_tensorflow_serving_takes_them(wine):
    answer = wine.served.ask(PREDICT, {"instances": wine.rows})
    assert answer.status == 200
    assert len(answer.json["predictions"]) == len(wine.rows)
    right = sum(a == b for a, b in zip(answer.json["predictions"], wine.labels, strict=True))
    assert right / len(wine.labels) > 0.95
    assert wine.served.ask("/v1/models/model:predict", {"instances": wine.rows}).json == answer.json
    assert wine.served.ask("/v1/models/wine/versions/1:predict", {"instances": wine.rows}).json == answer.json


def test_rows_by_name_in_any_order(wine):
    plain = wine.served.ask(PREDICT, {"instances": wine.rows[:5]}).json
    named = [dict(reversed(list(zip(wine.names, row, strict=True)))) for row in wine.rows[:5]]
    assert wine.served.ask(PREDICT, {"instances": named}).json == plain
    columns = {name: [row[at] for row in wine.rows[:5]] for at, name in enumerate(wine.names)}
    assert wine.served.ask(PREDICT, {"inputs": columns}).json == {"outputs": plain["predictions"]}


def test_probabilities_in_both_protocols(wine):
    asked = {"instances": wine.rows[:3], "signature_name": "predict_proba"}
    found = wine.served.ask(PREDICT, asked).json["predictions"]
    assert [len(row) for row in found] == [3, 3, 3]
    assert all(abs(sum(row) - 1) < 1e-9 for row in found)
    asked = {"inputs": [tensor(wine.rows[:3], [3, 13])], "outputs": [{"name": "predict"}, {"name": "predict_proba"}]}
    labels, chances = wine.served.ask(INFER, asked).json["outputs"]
    assert (labels["name"], labels["datatype"], labels["shape"]) == ("predict", "INT64", [3])
    assert (chances["datatype"], chances["shape"]) == ("FP64", [3, 3])
    assert chances["data"] == [each for row in found for each in row]


def test_open_inference_with_one_tensor_or_one_for_each_column(wine):
    flat = [value for row in wine.rows[:4] for value in row]
    one = wine.served.ask(INFER, {"id": "a7", "inputs": [tensor(flat, [4, 13])]})
    assert one.status == 200, one.body
    assert (one.json["model_name"], one.json["model_version"], one.json["id"]) == ("wine", "1", "a7")
    many = [tensor([row[at] for row in wine.rows[:4]], [4, 1], name) for at, name in enumerate(wine.names)]
    assert wine.served.ask(INFER, {"inputs": many}).json["outputs"] == one.json["outputs"]
    assert one.json["outputs"][0]["data"] == wine.labels[:4]


def test_what_it_says_of_itself(wine):
    served = wine.served
    assert served.ask("/v2/health/live").json == {"live": True}
    assert served.ask("/v2/health/ready").json == {"ready": True}
    assert served.ask("/v2/models/wine/ready").status == 200
    assert served.ask("/v2").json["name"] == "dsvc"
    described = served.ask("/v2/models/wine").json
    assert (described["name"], described["versions"], described["platform"]) == ("wine", ["1"], "sklearn")
    assert [each["name"] for each in described["inputs"]] == wine.names
    state = served.ask("/v1/models/wine").json["model_version_status"][0]
    assert (state["version"], state["state"]) == ("1", "AVAILABLE")
    assert PREDICT in served.ask("/").json["addresses"]
    assert served.ask("/v2/health/ready", method="HEAD").body == b""


def test_it_says_where_the_model_comes_from(wine):
    shown = wine.cli.ok("model", "show", "wine", "--json").json
    told = wine.served.ask("/provenance").json
    for key in ("name", "content", "commit", "run", "run_id", "environment", "framework"):
        assert told[key] == shown[key], key
    assert told["commit"] is not None
    assert told["version"] == 1
    assert "wine.csv" in {each["path"] for each in told["datasets"]}
    for path, body in (("/provenance", None), (PREDICT, {"instances": wine.rows[:1]}), (PREDICT, b"{"), ("/no", None)):
        answer = wine.served.ask(path, body)
        assert answer.headers["x-dsvc-commit"] == shown["commit"], path
        assert answer.headers["x-dsvc-model"] == "wine/1"


ROW = [13.2, 1.78, 2.14, 11.2, 100, 2.65, 2.76, 0.26, 1.28, 4.38, 1.05, 3.4, 1050]


def changed(at, value):
    return [ROW, [*ROW[:at], value, *ROW[at + 1 :]]]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "no JSON"),
        (b"{", "no JSON"),
        (b"\xff\xfe{}", "no JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[1]", "no JSON object"),
        (b'{"instances": [[NaN]]}', "NaN is not JSON"),
        (b'{"instances": [[' + b"1" * 5000 + b"]]}", "no JSON"),
        ({}, "neither 'instances' nor 'inputs'"),
        ({"instances": []}, "at least one row"),
        ({"instances": 3}, "at least one row"),
        ({"instances": [ROW, ROW[:12]]}, "row 1 has 12 values, the model takes 13"),
        ({"instances": [[ROW]]}, "row 0 has 1 values"),
        ({"instances": changed(0, "red")}, "row 1, 'alcohol': 'red' is no number"),
        ({"instances": changed(0, "13.2")}, "row 1, 'alcohol': '13.2' is no number"),
        ({"instances": changed(1, None)}, "row 1, 'malic_acid': a value is missing"),
        ({"instances": changed(1, [1.0])}, "row 1, 'malic_acid': [1.0] is no number"),
        ({"instances": changed(1, 10**400)}, "'malic_acid'"),
        (json.dumps({"instances": [ROW]}).replace("13.2", "1e999").encode(), "'alcohol': inf is too large"),
        ({"instances": [{"alcohol": 13.2}]}, "'malic_acid': a value is missing"),
        ({"instances": [{"alcohols": 13.2}]}, "knows no input 'alcohols'; it takes alcohol, malic_acid"),
        ({"instances": [ROW], "signature_name": "explain"}, "no output 'explain'; it has predict, predict_proba"),
        ({"inputs": {"alcohol": [1], "malic_acid": [1, 2]}}, "different lengths"),
    ],
)  # fmt: skip
def test_bad_rows_are_refused_with_the_reason(wine, body, says):
    answer = wine.served.ask(PREDICT, body)
    assert answer.status == 400, answer.body
    assert says in answer.json["error"]


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        (None, "at least one tensor"),
        ([], "at least one tensor"),
        ([{"name": "x"}], "no name, shape, datatype and data"),
        ([tensor(ROW, [1, 12])], "has 13 values, its shape [1, 12] says 12"),
        ([tensor(ROW[:12], [1, 12])], "a row has 12 values, the model takes 13"),
        ([tensor(ROW, [1, 13], datatype="FP128")], "unknown datatype 'FP128'"),
        ([tensor(ROW, [1, 13], datatype="INT64")], "holds a number that is no INT64"),
        ([tensor(["a"] * 13, [1, 13])], "something else than numbers"),
        ([tensor([], [0, 13])], "is empty"),
        ([tensor(ROW, [-1, 13])], "no valid shape"),
        ([tensor(ROW, [13], "alcohol")], "'malic_acid': a value is missing"),
        ([tensor([1.0], [1], "colour")], "knows no input 'colour'"),
        ([{"name": "x", "parameters": {"binary_data_size": 8}}], "is binary"),
    ],
)  # fmt: skip
def test_bad_tensors_are_refused_with_the_reason(wine, inputs, says):
    answer = wine.served.ask(INFER, {"inputs": inputs})
    assert answer.status == 400, answer.body
    assert says in answer.json["error"]


def test_addresses_that_are_not_there(wine):
    missing = wine.served.ask("/v1/models/beer:predict", {"instances": [ROW]})
    assert missing.status == 404
    assert missing.json["error"] == "there is no model 'beer' here; 'wine' is served, version 1"
    assert wine.served.ask("/v2/models/wine/versions/2/infer", {"inputs": []}).status == 404
    verb = wine.served.ask("/v1/models/wine:classify", {"examples": [ROW]})
    assert verb.status == 404
    assert verb.json["error"] == "':classify' is not understood; /v1/models/wine:predict asks the model"
    wrong = wine.served.ask(PREDICT)
    assert (wrong.status, wrong.headers["allow"]) == (405, "POST")


def test_a_compressed_body_is_refused_by_its_encoding(wine):
    answer = wine.served.ask(PREDICT, b"\x1f\x8b\x08", headers={"Content-Encoding": "gzip"})
    assert (answer.status, "encoding gzip is not understood" in answer.json["error"]) == (415, True)


def test_a_body_of_a_hundred_megabytes_is_refused_before_it_is_read(wine):
    answer = wine.served.ask(PREDICT, b" " * 100_000_000)
    assert answer.status == 413
    assert "16777216 bytes" in answer.json["error"]
    assert wine.served.ask(PREDICT, {"instances": [ROW]}).status == 200


def test_metrics_count_what_was_asked(wine):
    def value(name, **labels):
        text = wine.served.ask("/metrics").body.decode()
        for line in text.splitlines():
            if re.match(rf"{name}[{{ ]", line) and all(f'{key}="{each}"' in line for key, each in labels.items()):
                return float(line.rpartition(" ")[2])
        return 0.0

    before = value("dsvc_requests_total", protocol="v1", code="200"), value("dsvc_rows_total", protocol="v1")
    errors = value("dsvc_errors_total", kind="input")
    watched = value("dsvc_feature_count", feature="alcohol")
    wine.served.ask(PREDICT, {"instances": wine.rows[:7]})
    wine.served.ask(PREDICT, b"{")
    assert value("dsvc_requests_total", protocol="v1", code="200") == before[0] + 1
    assert value("dsvc_rows_total", protocol="v1") == before[1] + 7
    assert value("dsvc_errors_total", kind="input") == errors + 1
    assert value("dsvc_feature_count", feature="alcohol") == watched + 7
    assert value("dsvc_request_seconds_count", protocol="v1") >= 1
    assert value("dsvc_in_flight") == 0
    commit = wine.cli.ok("model", "show", "wine", "--json").json["commit"]
    assert value("dsvc_model_info", commit=commit, model="wine", version="1") == 1


def test_drift_is_told_when_the_window_holds_enough(wine):
    def drift():
        text = wine.served.ask("/metrics").body.decode()
        return {
            found[1]: float(found[2])
            for found in re.finditer(r'^dsvc_drift_psi\{feature="([^"]+)".*side="input".*\} (\S+)$', text, re.MULTILINE)
        }

    for _ in range(3):  # 500 rows are in the window then, and all are of the training data
        wine.served.ask(PREDICT, {"instances": wine.rows})
    quiet = drift()
    assert set(quiet) == set(wine.names)
    assert max(quiet.values()) < 0.05
    for _ in range(3):
        wine.served.ask(PREDICT, {"instances": [[row[0] + 2, *row[1:]] for row in wine.rows]})
    loud = drift()
    assert loud["alcohol"] > 0.5
    assert max(value for name, value in loud.items() if name != "alcohol") < 0.05
