"""What the modules for machine-learning libraries record, with the real libraries."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

from tests.commands.conftest import cli

__all__ = ["cli"]

DATA = """
from sklearn.datasets import load_iris
from sklearn.model_selection import train_test_split
x, y = load_iris(return_X_y=True)
x, x_test, y, y_test = train_test_split(x, y, random_state=0)
"""

SKLEARN = """
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
import dsvc
from dsvc.integrations.sklearn import fit, save
with dsvc.start_run("plain"):
    model = fit(LogisticRegression(C=0.5, max_iter=500), x, y, test=(x_test, y_test))
    assert save(model, "model.joblib", name="iris") == "model.joblib"
with dsvc.start_run("search"):
    search = fit(GridSearchCV(LogisticRegression(max_iter=500), {"C": [0.1, 1.0]}, cv=3), x, y)
    assert search.best_params_["C"] in (0.1, 1.0)
"""

XGBOOST = """
import xgboost, dsvc
from dsvc.integrations.xgboost import Recorder, save
train, test = xgboost.DMatrix(x, y), xgboost.DMatrix(x_test, y_test)
params = {"objective": "multi:softprob", "num_class": 3, "eta": 0.3, "nthread": 1}
with dsvc.start_run("boosted"):
    evals = [(train, "train"), (test, "test")]
    booster = xgboost.train(params, train, 7, evals=evals, callbacks=[Recorder(params)], verbose_eval=False)
    save(booster, "model.ubj", name="iris")
"""

TORCH = """
import torch, dsvc
from dsvc.integrations.torch import Recorder, save
model = torch.nn.Linear(4, 3)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
batches = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.randn(20, 4)), batch_size=4)
with dsvc.start_run("torch"):
    recorder = Recorder(model, optimizer, epochs=2)
    for epoch in range(2):
        for (batch,) in recorder.steps(batches):
            optimizer.zero_grad()
            loss = model(batch).square().mean()
            loss.backward()
            optimizer.step()
            recorder.log(loss=loss)
    save(model, "model.pt", name="net")
"""


@pytest.fixture
def project(cli):
    cli.ok("init", "-q")
    return cli


def recorded(cli, script):
    (cli.directory / "train.py").write_text(script)
    command = [sys.executable, "train.py"]
    done = subprocess.run(
        command, cwd=cli.directory, env=cli.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "not recorded" not in done.stderr
    rows = cli.ok("runs", "list", "--json").json["runs"]
    found = [cli.ok("runs", "show", "--json", row["run"]).json for row in rows]
    return {run["name"]: run for run in found}


def needs(module):
    missing = importlib.util.find_spec(module) is None
    return pytest.mark.skipif(missing, reason=f"{module} is not installed")


@needs("sklearn")
def test_scikit_learn(project):
    runs = recorded(project, DATA + SKLEARN)
    plain = runs["plain"]
    assert plain["params"] | {"C": 0.5, "max_iter": 500, "estimator": "LogisticRegression"} == plain["params"]
    assert 0.8 < plain["metrics"]["score"] <= 1
    assert 0.8 < plain["metrics"]["test_score"] <= 1
    assert "model.joblib" in [pin["path"] for pin in plain["outputs"]["files"]]
    search = runs["search"]
    (series,) = search["series"]
    assert (series["name"], series["count"]) == ("mean_test_score", 2)
    assert search["metrics"]["best_score"] == series["max"]
    assert search["params"]["best_params"]["C"] in (0.1, 1.0)
    project.ok("model", "add", "iris")
    model = project.ok("model", "show", "--json", "iris").json
    assert (model["framework"], model["facts"]["format"]) == ("sklearn", "joblib")
    import sklearn

    assert model["framework_version"] == sklearn.__version__


@needs("xgboost")
def test_xgboost(project):
    run = recorded(project, DATA + XGBOOST)["boosted"]
    assert run["params"]["eta"] == 0.3
    counts = {series["name"]: series["count"] for series in run["series"]}
    assert counts == {"train-mlogloss": 7, "test-mlogloss": 7}
    train = next(series for series in run["series"] if series["name"] == "train-mlogloss")
    assert train["last"] == train["min"] < train["max"]
    project.ok("model", "add", "iris")
    assert project.ok("model", "show", "--json", "iris").json["path"] == "model.ubj"


@needs("torch")
def test_torch(project):
    run = recorded(project, TORCH)["torch"]
    assert run["params"] | {"model": "Linear", "parameters": 15, "optimizer": "SGD", "epochs": 2} == run["params"]
    counts = {series["name"]: (series["count"], series["last_step"]) for series in run["series"]}
    assert counts == {"loss": (10, 9), "lr": (10, 9)}
    project.ok("model", "add", "net")
    assert project.ok("model", "show", "--json", "net").json["framework"] == "torch"
