"""What the modules for machine-learning libraries record, with the real libraries."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.commands.conftest import cli
from tests.frameworks import needs, why_missing

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
    save(model, "model.pt", name="torch-net")
"""

KERAS = """
import keras, numpy, dsvc
from dsvc.integrations.keras import Recorder, save
keras.utils.set_random_seed(0)
model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3)])
model.compile(optimizer=keras.optimizers.SGD(learning_rate=0.05), loss="mse")
x, y = numpy.random.rand(20, 4), numpy.random.rand(20, 3)
with dsvc.start_run("keras"):
    model.fit(x, y, epochs=3, batch_size=5, verbose=0, validation_split=0.2, callbacks=[Recorder(batches=True)])
    save(model, "model.keras", name="keras-net")
"""

LIGHTNING = """
import torch, lightning, dsvc
from dsvc.integrations.lightning import Recorder
class Net(lightning.LightningModule):
    def __init__(self, rate=0.05):
        super().__init__()
        self.save_hyperparameters()
        self.layer = torch.nn.Linear(4, 1)
    def training_step(self, batch, number):
        loss = self.layer(batch[0]).square().mean()
        self.log("loss", loss)
        return loss
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.hparams.rate)
data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.randn(20, 4)), batch_size=4)
best = lightning.pytorch.callbacks.ModelCheckpoint(dirpath="kept", monitor="loss")
with dsvc.start_run("lightning"):
    logger = Recorder(name="lightning-net")
    trainer = lightning.Trainer(max_epochs=2, logger=logger, callbacks=[best], accelerator="cpu",
                                log_every_n_steps=1, enable_progress_bar=False, enable_model_summary=False)
    trainer.fit(Net(), data)
"""

TRANSFORMERS = """
import torch, transformers, dsvc
from dsvc.integrations.transformers import Recorder, save
config = transformers.BertConfig(vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
                                 intermediate_size=8, max_position_embeddings=8, num_labels=2)
model = transformers.BertForSequenceClassification(config)
data = [{"input_ids": torch.randint(0, 20, (6,)), "labels": torch.tensor(n % 2)} for n in range(8)]
args = transformers.TrainingArguments("out", max_steps=4, logging_steps=1, per_device_train_batch_size=2,
                                      learning_rate=0.01, report_to="none", use_cpu=True, save_strategy="no",
                                      disable_tqdm=True)
with dsvc.start_run("transformers"):
    trainer = transformers.Trainer(model, args, train_dataset=data, callbacks=[Recorder()])
    trainer.train()
    save(trainer, "saved", name="bert")
    save(model, "plain", name="bert-itself")
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


TOGETHER = """
import json, pathlib, traceback
failed = {{}}
for name in {names}:
    try:
        exec(compile(pathlib.Path(f"with_{{name}}.py").read_text(), f"with_{{name}}.py", "exec"), {{"__name__": name}})
    except BaseException:
        failed[name] = traceback.format_exc()
        import dsvc
        dsvc.end_run()
pathlib.Path("failed.json").write_text(json.dumps(failed))
"""


@needs("torch")
def test_torch_and_what_builds_on_it(project, subtests):
    """In one process: to import them takes most of the time."""
    scripts = {"torch": TORCH, "keras": KERAS, "lightning": LIGHTNING, "transformers": TRANSFORMERS}
    scripts = {name: script for name, script in scripts.items() if not why_missing(name)}
    for name, script in scripts.items():
        (project.directory / f"with_{name}.py").write_text(script)
    project.environment |= {"KERAS_BACKEND": "torch"}
    runs = recorded(project, TOGETHER.format(names=list(scripts)))
    failed = json.loads((project.directory / "failed.json").read_text())
    for name, check in (("torch", torch), ("keras", keras), ("lightning", lightning), ("transformers", transformers)):
        with subtests.test(name):
            if name not in scripts:
                pytest.skip(why_missing(name))
            assert name not in failed, failed[name]
            check(project, runs[name])


def torch(project, run):
    assert run["params"] | {"model": "Linear", "parameters": 15, "optimizer": "SGD", "epochs": 2} == run["params"]
    counts = {series["name"]: (series["count"], series["last_step"]) for series in run["series"]}
    assert counts == {"loss": (10, 9), "lr": (10, 9)}
    assert model(project, "torch-net")["framework"] == "torch"


def keras(project, run):
    expected = {"model": "Sequential", "parameters": 15, "optimizer": "SGD", "learning_rate": 0.05, "epochs": 3}
    assert run["params"] | expected == run["params"]
    counts = {series["name"]: (series["count"], series["last_step"]) for series in run["series"]}
    assert counts == {"loss": (3, 2), "val_loss": (3, 2), "batch/loss": (12, 11)}
    made = model(project, "keras-net")
    assert (made["framework"], made["facts"]["backend"]) == ("keras", "torch")


def lightning(project, run):
    assert run["params"]["rate"] == 0.05
    (series,) = run["series"]
    assert (series["name"], series["count"], series["last_step"]) == ("loss", 10, 9)
    assert 0 < run["metrics"]["best_loss"] <= series["max"]
    assert model(project, "lightning-net")["framework"] == "lightning"


def transformers(project, run):
    expected = {"learning_rate": 0.01, "max_steps": 4, "model": "BertForSequenceClassification"}
    assert run["params"] | expected == run["params"]
    counts = {series["name"]: (series["count"], series["last_step"]) for series in run["series"]}
    assert counts["loss"] == (4, 4)
    assert run["metrics"]["train_runtime"] > 0
    assert {model(project, name)["framework"] for name in ("bert", "bert-itself")} == {"transformers"}


def model(project, name):
    project.ok("model", "add", "-q", name)
    return project.ok("model", "show", "--json", name).json
