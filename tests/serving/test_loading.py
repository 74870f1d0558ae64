"""Every form of model is loaded by the real library and asked; a missing library is said."""

from __future__ import annotations

import base64
import importlib.util

import numpy as np
import pytest

from dsvc.serving.application import signature_of
from dsvc.serving.files import CannotLoadError, UntrustedModelError
from dsvc.serving.inputs import InputReader
from dsvc.serving.loading import code_in, load_model
from dsvc.serving.record import NoModelFolderError, read_model
from dsvc.serving.refusals import Refusal

X = np.random.default_rng(0).normal(size=(60, 2))
Y = (X @ [2.0, 3.0] > 0).astype(int)
ROWS = [[1.0, 1.0], [-1.0, -2.0]]
# One multiplication of x, [n, 2] of 32-bit floats, with [2, 3].
ONNX = (
    "CAg6VwoRCgF4CgF3EgF5IgZNYXRNdWwSAWcqEwgCCAEQASIIAAAAQAAAQEBCAXdaFAoBeBIPCg0IARIJCgMSAW4KAggCYhQKAXkSDwoN"
    "CAESCQoDEgFuCgIIAUIECgAQDQ=="
)
# The same, exported for one row at a time: [1, 2].
ONNX_OF_ONE = (
    "CAg6VQoRCgF4CgF3EgF5IgZNYXRNdWwSAWcqEwgCCAEQASIIAAAAQAAAQEBCAXdaEwoBeBIOCgwIARIICgIIAQoCCAJiEwoBeRIOCgwI"
    "ARIICgIIAQoCCAFCBAoAEA0="
)


def library(name):
    return pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f"{name} is not installed")


def answers(folder, instances=ROWS, output="", *, allow_pickle=False):
    """What the model in a folder answers to rows of TensorFlow's form."""
    served = read_model(folder)
    model = load_model(served, allow_pickle=allow_pickle)
    rows = InputReader(signature_of(served, model)).instances(instances)
    return np.asarray(model.predict(rows, output or model.outputs[0])).tolist()


def classifier():
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression().fit(X, Y)


def test_a_file_of_skops_needs_nobodys_word(tmp_path):
    from skops import io

    io.dump(classifier(), tmp_path / "model.skops")
    assert answers(tmp_path) == [1, 0]
    assert np.allclose(np.sum(answers(tmp_path, output="predict_proba"), axis=1), 1)


def test_unknown_types_in_a_file_of_skops_do(tmp_path):
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer
    from skops import io

    io.dump(make_pipeline(FunctionTransformer(np.linalg.norm), classifier()), tmp_path / "model.skops")
    with pytest.raises(UntrustedModelError, match="norm"):
        load_model(read_model(tmp_path))


@pytest.mark.parametrize("name", ["model.joblib", "model.pkl"])
def test_a_pickle_is_not_loaded_without_somebodys_word(tmp_path, name):
    import joblib

    joblib.dump(classifier(), tmp_path / name)
    with pytest.raises(UntrustedModelError, match=name) as raised:
        load_model(read_model(tmp_path))
    assert "--allow-pickle" in raised.value.hint
    assert answers(tmp_path, allow_pickle=True) == [1, 0]


def test_an_estimator_that_chooses_columns_by_name(tmp_path):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    import joblib
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    table = pandas.DataFrame({"size": [1.0, 2.0, 3.0, 4.0] * 5, "colour": ["red", "blue"] * 10})
    encode = ColumnTransformer([("colour", OneHotEncoder(), ["colour"])], remainder="passthrough")
    model = make_pipeline(encode, LogisticRegression()).fit(table, [1, 0] * 10)
    joblib.dump(model, tmp_path / "model.joblib")
    rows = [{"colour": "red", "size": 1.0}, {"colour": "blue", "size": 2.0}]
    assert answers(tmp_path, rows, allow_pickle=True) == [1, 0]


@library("onnxruntime")
def test_onnx(tmp_path):
    (tmp_path / "model.onnx").write_bytes(base64.b64decode(ONNX))
    assert answers(tmp_path) == [[5.0], [-8.0]]
    with pytest.raises(Refusal, match="row 0 has 3 values, the model takes 2"):
        answers(tmp_path, [[1, 2, 3]])


@library("onnxruntime")
def test_onnx_of_one_row_at_a_time(tmp_path):
    (tmp_path / "model.onnx").write_bytes(base64.b64decode(ONNX_OF_ONE))
    assert answers(tmp_path, ROWS[:1]) == [[5.0]]
    assert answers(tmp_path) == [[5.0], [-8.0]]


@library("xgboost")
def test_xgboost(tmp_path):
    import xgboost

    matrix = xgboost.DMatrix(X, Y, feature_names=["width", "height"])
    xgboost.train({"objective": "binary:logistic", "nthread": 1}, matrix, 5).save_model(tmp_path / "model.ubj")
    high, low = answers(tmp_path)
    assert high > 0.5 > low
    assert answers(tmp_path, [{"height": 1.0, "width": 1.0}]) == [high]
    assert len(answers(tmp_path, [[None, 1.0]])) == 1  # it knows missing values


@library("lightgbm")
def test_lightgbm(tmp_path):
    import lightgbm

    data = lightgbm.Dataset(X, Y, feature_name=["width", "height"])
    settings = {"objective": "binary", "verbose": -1, "num_threads": 1, "min_data_in_leaf": 2}
    lightgbm.train(settings, data, 5).save_model(tmp_path / "model.lgb")
    high, low = answers(tmp_path)
    assert high > 0.5 > low


@library("torch")
def test_torchscript(tmp_path):
    import torch

    layer = torch.nn.Linear(2, 1, bias=False)
    torch.nn.init.ones_(layer.weight)
    torch.jit.script(layer).save(tmp_path / "model.pt")
    with pytest.raises(UntrustedModelError):
        load_model(read_model(tmp_path))
    assert answers(tmp_path, allow_pickle=True) == [[2.0], [-3.0]]


@library("torch")
def test_an_exported_program_of_so_many_rows(tmp_path):
    """Without dynamic shapes it takes as many rows as the example had."""
    import torch

    layer = torch.nn.Linear(2, 1, bias=False)
    torch.nn.init.ones_(layer.weight)
    torch.export.save(torch.export.export(layer.eval(), (torch.ones(2, 2),)), tmp_path / "model.pt2")
    assert answers(tmp_path, [*ROWS, *ROWS], allow_pickle=True) == [[2.0], [-3.0], [2.0], [-3.0]]
    with pytest.raises(Refusal, match="takes 2 rows at once, as it was exported: 3 cannot"):
        answers(tmp_path, [*ROWS, ROWS[0]], allow_pickle=True)


@library("torch")
def test_an_exported_program_of_some_rows(tmp_path):
    """More than its dynamic dimension allows are asked in parts, none of which is too small."""
    import torch

    layer = torch.nn.Linear(2, 1, bias=False)
    torch.nn.init.ones_(layer.weight)
    rows = torch.export.Dim("rows", min=2, max=3)
    program = torch.export.export(layer.eval(), (torch.ones(3, 2),), dynamic_shapes=({0: rows},))
    torch.export.save(program, tmp_path / "model.pt2")
    for times in (1, 2, 3, 4):
        assert answers(tmp_path, ROWS * times, allow_pickle=True) == [[2.0], [-3.0]] * times
    with pytest.raises(Refusal, match="takes 2 to 3 rows at once, as it was exported: 1 cannot"):
        answers(tmp_path, [ROWS[0]], allow_pickle=True)


@library("torch")
def test_other_forms_of_torch(tmp_path):
    """An exported program, a whole module that was pickled, and weights alone, which are no model."""
    import torch

    layer = torch.nn.Linear(2, 1, bias=False)
    torch.nn.init.ones_(layer.weight)
    for name in ("exported", "pickled", "weights"):
        (tmp_path / name).mkdir()
    rows = torch.export.Dim("rows", max=64)
    program = torch.export.export(layer.eval(), (torch.ones(3, 2),), dynamic_shapes=({0: rows},))
    torch.export.save(program, tmp_path / "exported" / "model.pt2")
    torch.save(layer, tmp_path / "pickled" / "model.pt")
    torch.save(layer.state_dict(), tmp_path / "weights" / "model.pt")
    for name in ("exported", "pickled"):
        with pytest.raises(UntrustedModelError):
            load_model(read_model(tmp_path / name))
        assert answers(tmp_path / name, allow_pickle=True) == [[2.0], [-3.0]]
    with pytest.raises(CannotLoadError, match="holds weights and no module"):
        load_model(read_model(tmp_path / "weights"), allow_pickle=True)


@pytest.fixture
def keras(monkeypatch):
    if importlib.util.find_spec("tensorflow") is None:  # which Keras takes where nothing is said
        monkeypatch.setenv("KERAS_BACKEND", "torch")
    return importlib.import_module("keras")


@library("keras")
def test_a_model_of_keras_with_code_in_it_needs_somebodys_word(tmp_path, keras):

    layers = [keras.Input((2,)), keras.layers.Lambda(lambda x: x * 2, output_shape=(2,))]
    keras.Sequential(layers).save(tmp_path / "model.keras")
    with pytest.raises(CannotLoadError):
        load_model(read_model(tmp_path))
    assert answers(tmp_path, allow_pickle=True) == [[2.0, 2.0], [-2.0, -4.0]]


@library("tensorflow")
def test_a_saved_model_of_tensorflow(tmp_path):
    import tensorflow as tf

    module = tf.Module()
    module.weights = tf.Variable([[2.0], [3.0]])
    shape = [tf.TensorSpec([None, 2], tf.float32, name="x")]
    call = tf.function(lambda x: {"y": x @ module.weights}, input_signature=shape)
    tf.saved_model.save(module, str(tmp_path), signatures={"serving_default": call})
    with pytest.raises(UntrustedModelError):
        load_model(read_model(tmp_path))
    assert answers(tmp_path, allow_pickle=True) == [[5.0], [-8.0]]


@library("tensorflow")
def test_what_a_saved_model_says_of_its_inputs_is_checked(tmp_path):
    import tensorflow as tf

    texts = [tf.TensorSpec([None], tf.string, name="name"), tf.TensorSpec([None], tf.int64, name="n")]
    module = tf.Module()
    module.joined = tf.function(
        lambda name, n: {"long": tf.strings.join([name, tf.strings.as_string(n)]), "n": n}, input_signature=texts
    )
    module.doubled = tf.function(lambda x: {"y": x * 2}, input_signature=[tf.TensorSpec([None, 2], name="x")])
    tf.saved_model.save(module, str(tmp_path / "two"), signatures={"serving_default": module.joined})
    tf.saved_model.save(module, str(tmp_path / "one"), signatures={"mine": module.doubled})
    tf.saved_model.save(module, str(tmp_path / "both"), signatures={"a": module.doubled, "b": module.joined})
    tf.saved_model.save(tf.Module(), str(tmp_path / "none"))

    one, two = tmp_path / "one", tmp_path / "two"
    assert answers(one, [[1, 2]], allow_pickle=True) == [[2.0, 4.0]]
    assert answers(one, [{"x": [1, 2]}], allow_pickle=True) == [[2.0, 4.0]]
    rows = [{"name": "a", "n": 1}, {"name": "b", "n": 2}]
    assert answers(two, rows, "long", allow_pickle=True) == [b"a1", b"b2"]
    assert answers(two, rows, "n", allow_pickle=True) == [1, 2]
    refused = {
        "row 0 has 3 values, the model takes 2": (one, [[1, 2, 3]]),
        "'a' is no number": (one, [["a", 1]]),
        "a value is missing": (one, [[1, None]]),
        "knows no input 'z'": (one, [{"z": [1, 2]}]),
        "the input 'n' is missing": (two, [{"name": "a"}]),
        "'n' has the shape": (two, [{"name": "a", "n": [1]}]),
        "'n' holds a number that is no integer": (two, [{"name": "a", "n": 1.5}]),
        "'name' holds something else than texts": (two, [{"name": 1, "n": 1}]),
    }
    for says, (folder, bad) in refused.items():
        with pytest.raises(Refusal, match=says):
            answers(folder, bad, allow_pickle=True)
    with pytest.raises(CannotLoadError, match="has the signatures a, b, and is called by serving_default"):
        load_model(read_model(tmp_path / "both"), allow_pickle=True)
    with pytest.raises(CannotLoadError, match="has no signature"):
        load_model(read_model(tmp_path / "none"), allow_pickle=True)


@library("keras")
def test_a_model_of_keras_with_two_inputs(tmp_path, keras):
    inputs = [keras.Input((2,), name="a"), keras.Input((1,), name="b")]
    layer = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")
    keras.Model(inputs, layer(keras.layers.Concatenate()(inputs))).save(tmp_path / "model.keras")
    assert answers(tmp_path, [{"a": [1, 2], "b": [3]}, {"a": [0, 0], "b": [1]}]) == [[6.0], [1.0]]
    with pytest.raises(Refusal, match="the input 'b' is missing"):
        answers(tmp_path, [{"a": [1, 2]}])
    with pytest.raises(Refusal, match="'a' has the shape"):
        answers(tmp_path, [{"a": [1], "b": [3]}])


@library("keras")
def test_keras(tmp_path, keras):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")])
    model.save(tmp_path / "model.keras")
    assert answers(tmp_path) == [[2.0], [-3.0]]
    with pytest.raises(Refusal, match="row 0 has 1 values, the model takes 2"):
        answers(tmp_path, [[1]])


@library("mlflow")
def test_a_folder_of_mlflow(tmp_path):
    import mlflow.sklearn

    mlflow.sklearn.save_model(classifier(), tmp_path / "model")
    assert answers(tmp_path / "model", allow_pickle=True) == [1, 0]


@library("mlflow")
def test_what_a_folder_of_mlflow_says_of_its_inputs_is_kept_to(tmp_path):
    """MLflow takes neither 1.0 for an integer nor an array of another type: rows get the types of its signature."""
    import mlflow.pyfunc
    import mlflow.sklearn
    import pandas as pd
    from mlflow.models import infer_signature

    class Sizes(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input, params=None):
            return pd.DataFrame({"label": model_input["name"], "size": model_input["w"] * model_input["h"]})

    table = pd.DataFrame({"w": [1.5], "h": [2], "name": ["x"]})
    mlflow.pyfunc.save_model(tmp_path / "table", python_model=Sizes(), signature=infer_signature(table))
    found = load_model(read_model(tmp_path / "table"), allow_pickle=True)
    rows = InputReader(found.signature).instances([[1.5, 2, "a"], {"name": "b", "w": 1, "h": 4}])
    said = found.predict(rows, "predict")
    assert (said["label"].tolist(), said["size"].tolist()) == (["a", "b"], [3.0, 4.0])

    mlflow.sklearn.save_model(classifier(), tmp_path / "array", signature=infer_signature(X, Y))
    assert answers(tmp_path / "array", [[1, 1], [-1, -2]], allow_pickle=True) == [1, 0]
    for bad, says in (([[1]], "row 0 has 1 values"), ([["a", "b"]], "'a' is no number")):
        with pytest.raises(Refusal, match=says):
            answers(tmp_path / "array", bad, allow_pickle=True)


CLASS = """
import typing
class Row(typing.TypedDict):
    width: float
    height: int
    colour: str | None
class Predictor:
    def __init__(self, folder):
        self.unit = (folder / "unit.txt").read_text()
    def predict(self, rows: list[Row]) -> list[str]:
        return [f"{row['width'] * row['height']} {self.unit} {row['colour']}" for row in rows]
"""


def test_a_class_whose_type_hints_are_the_signature(tmp_path):
    (tmp_path / "predictor.py").write_text(CLASS)
    (tmp_path / "unit.txt").write_text("mm")
    with pytest.raises(UntrustedModelError, match=r"predictor\.py runs code"):
        load_model(read_model(tmp_path))
    rows = [{"width": 1.5, "height": 2, "colour": "red"}, {"width": 1, "height": 1}]
    assert answers(tmp_path, rows, allow_pickle=True) == ["3.0 mm red", "1.0 mm None"]
    with pytest.raises(Refusal, match=r"row 0, 'height': 1\.5 is no integer"):
        answers(tmp_path, [[1.5, 1.5, "red"]], allow_pickle=True)
    assert not list(tmp_path.rglob("*.pyc"))


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("def predict(rows):\n    return rows.sum(axis=1)", [2.0, -3.0]),
        ("def predict(rows: list):\n    return [max(row) for row in rows]", [1.0, -1.0]),
        ("def predict(columns: dict):\n    return columns['x1']", [1.0, -2.0]),
        ("def predict(rows: list[dict]):\n    return [row['x0'] for row in rows]", [1.0, -1.0]),
    ],
)
def test_a_function_is_given_what_its_hint_asks_for(tmp_path, code, found):
    (tmp_path / "predictor.py").write_text(code + "\n")
    assert answers(tmp_path, allow_pickle=True) == found


def test_custom_predict_gets_the_model_and_the_whole_body(tmp_path):
    import joblib

    joblib.dump(classifier(), tmp_path / "model.joblib")
    answer = "{'labels': model.predict(query['instances']).tolist(), 'of': query['of']}"
    (tmp_path / "custom_predict.py").write_text(f"def predict(model, query):\n    return {answer}\n")
    model = load_model(read_model(tmp_path), allow_pickle=True)
    assert model.takes_query
    assert model.answer({"instances": ROWS, "of": "today"}) == {"labels": [1, 0], "of": "today"}


@pytest.mark.parametrize(
    ("files", "framework", "code"),
    [
        (["model.joblib"], "", "model.joblib"),
        (["model.pkl", "notes.txt"], "sklearn", "model.pkl"),
        (["model.skops", "old.pkl"], "", ""),
        (["model.onnx"], "", ""),
        (["model.ubj"], "xgboost", ""),
        (["net.pt"], "", "net.pt"),
        (["MLmodel", "model.pkl"], "", "MLmodel"),
        (["saved_model.pb", "variables/x"], "", "saved_model.pb"),
        (["model.keras"], "keras", ""),
        (["predictor.py", "k.txt"], "", "predictor.py"),
        (["model.skops", "custom_predict.py"], "", "custom_predict.py"),
        (["notes.txt"], "", ""),
    ],
)
def test_what_runs_code_is_known_by_its_names(files, framework, code):
    assert code_in(files, framework) == code


@pytest.mark.parametrize(
    ("row", "default"),
    [("@dataclass\nclass Row:", "int = 5"), ("class Row(TypedDict):", "NotRequired[int]")],
    ids=["dataclass", "TypedDict"],
)
def test_what_a_predictor_may_be_asked_without(tmp_path, row, default):
    """A field with a default is no input that must be there; one of another kind stays one."""
    (tmp_path / "predictor.py").write_text(
        "from dataclasses import dataclass\nfrom typing import NotRequired, TypedDict\n"
        f"{row}\n    a: float\n    b: {default}\n"
        "def predict(rows: list[Row]) -> list:\n"
        "    return [(row if isinstance(row, dict) else vars(row)).get('b', 5) for row in rows]\n"
    )
    assert answers(tmp_path, [{"a": 1, "b": 2}, {"a": 1}, {"a": 1, "b": None}], allow_pickle=True) == [2, 5, 5]
    with pytest.raises(Refusal, match="row 0, 'a': a value is missing"):
        answers(tmp_path, [{"b": 2}], allow_pickle=True)


def test_requirements_of_the_model_are_checked(tmp_path):
    (tmp_path / "predictor.py").write_text("def predict(rows):\n    return rows\n")
    other_system = "none-such; sys_platform == 'win32'\n"
    (tmp_path / "runtime-requirements.txt").write_text(
        f"# all\nnumpy>=1\nno-such-thing==1.0\nscikit-learn<0.1\n{other_system}"
    )
    with pytest.raises(CannotLoadError) as raised:
        load_model(read_model(tmp_path), allow_pickle=True)
    assert "no-such-thing==1.0, scikit-learn<0.1 (there is " in raised.value.message
    assert "none-such" not in raised.value.message
    assert raised.value.hint == "pip install no-such-thing==1.0 'scikit-learn<0.1'"
    (tmp_path / "runtime-requirements.txt").write_text("numpy>=1\n")
    assert answers(tmp_path, allow_pickle=True) == ROWS


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"notes.txt": "hello"}, "cannot be served"),
        ({"model.skops": "hello"}, "cannot be loaded"),
        ({"model.joblib": "hello"}, "cannot be loaded"),
        ({"predictor.py": "def other(): ..."}, "neither a class Predictor"),
        ({"predictor.py": "1 / 0"}, "predictor.py fails: ZeroDivisionError"),
    ],
)
def test_what_cannot_be_loaded_says_why(tmp_path, files, says):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(CannotLoadError, match=says):
        load_model(read_model(tmp_path), allow_pickle=True)


def test_an_empty_folder_is_no_model(tmp_path):
    with pytest.raises(NoModelFolderError):
        read_model(tmp_path)
    with pytest.raises(NoModelFolderError):
        read_model(tmp_path / "missing")


def test_tensors_are_checked_by_what_the_model_declares():
    """Without any library: shapes, types, and the name of the one input of which columns are parts."""
    from dsvc.serving.loaders.arrays import Tensor, feed_of, signature_of_tensors

    texts = [Tensor("name", "string", "O", (-1,)), Tensor("n", "integer", "i8", (-1,))]
    reader = InputReader(signature_of_tensors(texts))
    feed = feed_of(reader.instances([{"name": "a", "n": 1}, {"name": "b", "n": 2}]), texts)
    assert (feed["name"].tolist(), feed["n"].tolist(), feed["n"].dtype) == (["a", "b"], [1, 2], np.int64)
    for bad, says in (({"name": 1, "n": 1}, "else than texts"), ({"name": "a", "n": 1.5}, "no integer")):
        with pytest.raises(Refusal, match=says):
            reader.instances([bad])

    table = [Tensor("x", "float", "f4", (-1, 2))]
    reader = InputReader(signature_of_tensors(table))
    for rows in (reader.instances([{"x": [1, 2]}]), reader.instances([[1, 2]]), reader.columns({"x": [[1, 2]]})):
        assert feed_of(rows, table)["x"].tolist() == [[1.0, 2.0]]
    with pytest.raises(Refusal, match="row 0 has 3 values, the model takes 2"):
        reader.instances([{"x": [1, 2, 3]}])
