"""`dsvc model`: versions, stages, and how they travel."""

from __future__ import annotations

import json

import pytest

from dsvc.objects.ids import Kind
from tests.commands.conftest import CommandLine


@pytest.fixture
def project(history) -> CommandLine:
    """A project with one commit and a command that writes a model of some content."""
    history.commit("first", {"data.csv": "1\n", "train.sh": "cat data.csv >model.bin; echo $1 >>model.bin\n"})
    return history.cli


def train(cli: CommandLine, word: str) -> str:
    return cli.ok("run", "--json", "-i", "data.csv", "-p", f"word={word}", "--", "sh", "train.sh", word).json["run"]


def shown(cli: CommandLine, name: str) -> dict:
    return cli.ok("model", "show", "--json", name).json


def listed(cli: CommandLine, *words: str) -> list[tuple[str, int, list[str]]]:
    models = cli.ok("model", "list", "--json", *words).json["models"]
    return [(model["name"], model["number"], model["stages"]) for model in models]


def test_there_are_none(project):
    answer = project.ok("model")
    assert (answer.out, answer.err) == ("", "no models\n")
    assert listed(project) == []
    answer = project("model", "show", "churn")
    assert answer.code == 3
    assert "there is no model churn" in answer.err


def test_a_version_knows_the_run_that_wrote_it(project):
    run = train(project, "a")
    project.ok("commit", "-q", "-m", "model")
    facts = ("--framework", "sklearn", "--metric", "acc=0.9", "-m", "new")
    answer = project.ok("model", "add", "churn", "model.bin", *facts)
    assert answer.err == "churn 1\n"
    found = shown(project, "churn")
    assert (found["number"], found["run"], found["path"], found["stages"]) == (1, run, "model.bin", [])
    assert (found["params"], found["metrics"], found["framework"]) == ({"word": "a"}, {"acc": 0.9}, "sklearn")
    assert found["commit"] == project.ok("rev-parse", "HEAD").out.strip()
    assert found["environment"] == project.ok("runs", "show", "--json", run).json["environment"]
    text = project.ok("model", "show", "churn").out
    assert "Training data" in text
    assert "data.csv" in text
    project.ok("run", "-i", "data.csv", "-i", "train.sh", "--", "sh", "train.sh", "b")
    project.ok("model", "add", "churn", "model.bin")
    data, programs = project.ok("model", "show", "churn").out.split("Training data\n")[1].split("Programs\n")
    assert [data.split()[0], programs.split()[0]] == ["data.csv", "train.sh"]


def test_files_that_no_run_wrote(project):
    (project.directory / "by-hand").mkdir()
    (project.directory / "by-hand" / "weights").write_text("x")
    project.ok("model", "add", "team/mine", "by-hand")
    found = shown(project, "team/mine")
    assert (found["run"], found["is_folder"], found["commit"]) == (None, True, None)
    assert "nobody knows what wrote it" in project.ok("model", "show", "team/mine").out


def test_a_folder_belongs_to_the_run_that_wrote_last_in_it(project):
    write = "mkdir -p out; echo $1 >out/a; echo same >out/b"
    for word in ("one", "two"):
        project.ok("run", "-q", "--", "sh", "-c", write, "sh", word)
    run = project.ok("runs", "show", "--json").json["run"]
    project.ok("model", "add", "m", "out")
    assert shown(project, "m")["run"] == run


def test_the_same_again_is_no_new_version(project):
    train(project, "a")
    project.ok("model", "add", "churn", "model.bin")
    assert "churn 1 already" in project.ok("model", "add", "churn", "model.bin").err
    project.ok("model", "add", "churn", "model.bin", "--stage", "prod")
    assert listed(project, "churn") == [("churn", 1, ["prod"])]
    train(project, "b")
    project.ok("model", "add", "churn", "model.bin")
    assert listed(project, "churn") == [("churn", 2, []), ("churn", 1, ["prod"])]


def test_the_list_shows_the_newest_and_those_with_a_stage(project):
    for word in "abc":
        train(project, word)
        project.ok("model", "add", "churn", "model.bin")
    project.ok("model", "promote", "churn@1", "prod")
    assert listed(project) == [("churn", 3, []), ("churn", 1, ["prod"])]
    assert [line.split()[:2] for line in project.ok("model").out.splitlines()[1:]] == [["churn", "3"], ["churn", "1"]]


def test_stages_move_and_tags_do_not(project):
    for word in "ab":
        train(project, word)
        project.ok("model", "add", "churn", "model.bin")
    assert project.ok("model", "promote", "churn", "prod").err == "churn@prod is version 2\n"
    assert project.ok("model", "promote", "churn@1", "prod").err == "churn@prod is version 1, was 2\n"
    assert shown(project, "churn@prod")["number"] == 1
    assert shown(project, "models/churn@prod")["number"] == 1
    answer = project("model", "tag", "churn@2", "prod")
    assert (answer.code, shown(project, "churn@prod")["number"]) == (3, 1)
    assert "dsvc model promote churn@2 prod" in answer.err
    project.ok("model", "tag", "churn@2", "best")
    project.ok("model", "tag", "churn@2", "best")
    project.ok("undo", "-q")
    assert project("model", "show", "churn@best").code == 3


@pytest.mark.parametrize("name", ["", "a b", "a..b", "a/versions/b", "@prod", "churn@", "churn@a/b", "churn@007"])
def test_names_that_are_refused(project, name):
    answer = project("model", "promote", name, "prod")
    assert answer.code == 2
    assert "valid name" in answer.err


@pytest.mark.parametrize("stage", ["1", "a/b", "a@b", "", "a b", ".x"])
def test_stages_that_are_refused(project, stage):
    train(project, "a")
    project.ok("model", "add", "churn", "model.bin")
    assert project("model", "promote", "churn", stage).code == 2
    assert listed(project) == [("churn", 1, [])]


def test_what_is_not_there(project):
    assert "run.model('churn', path)" in project("model", "add", "churn").err
    assert project("model", "add", "churn", "nothing").code == 3
    run = train(project, "a")
    answer = project("model", "add", "churn", "other.bin", "--run", run)
    assert answer.code == 3
    assert "wrote no other.bin" in answer.err
    assert "named no model churn" in project("model", "add", "churn", "--run", run).err
    project.ok("model", "add", "churn", "model.bin", "--run", run)
    assert "no version 7" in project("model", "show", "churn@7").err
    assert "no stage prod; there is: none" in project("model", "show", "churn@prod").err


def test_what_a_run_wrote_is_there_when_the_file_is_not(project):
    run = train(project, "a")
    (project.directory / "model.bin").unlink()
    project.ok("model", "add", "churn", "model.bin", "--run", run)
    project.ok("model", "get", "churn", "out")
    assert (project.directory / "out" / "model.bin").read_text() == "1\na\n"
    answer = project("model", "get", "churn", "out")
    assert answer.code == 3
    project.ok("model", "get", "-f", "churn", "out")


def test_versions_keep_their_files(project):
    train(project, "a")
    project.ok("model", "add", "churn", "model.bin")
    project.ok("runs", "rm", "@")
    (project.directory / "model.bin").unlink()
    project.ok("commit", "-q", "-a", "--allow-empty", "-m", "without")
    project.ok("gc", "-q", "--prune=now")
    project.ok("model", "get", "churn", "out")
    assert (project.directory / "out" / "model.bin").read_text() == "1\na\n"
    assert "unknown: " in project.ok("model", "show", "churn").out
    project.ok("fsck", "-q")


def test_removing(project):
    for word in "ab":
        train(project, word)
        project.ok("model", "add", "churn", "model.bin", "--stage", f"s{word}")
    project.ok("model", "rm", "churn@sa")
    assert listed(project, "churn") == [("churn", 2, ["sb"]), ("churn", 1, [])]
    project.ok("model", "rm", "churn@2")
    assert listed(project) == [("churn", 1, [])]
    project.ok("undo", "-q")
    assert listed(project, "churn") == [("churn", 2, ["sb"]), ("churn", 1, [])]
    assert project("model", "rm", "churn", "other").code == 3
    assert listed(project, "churn@1") == [("churn", 2, ["sb"]), ("churn", 1, [])]
    project.ok("model", "rm", "churn")
    assert listed(project) == []


def test_show_and_cat_know_them(project):
    train(project, "a")
    project.ok("model", "add", "churn", "model.bin", "--stage", "prod")
    found = project.ok("show", "--json", "models/churn/stages/prod").json["objects"][0]
    assert (found["kind"], found["number"], found["id"]) == ("model", 1, shown(project, "churn")["id"])
    assert project.ok("show", "models/churn/stages/prod").out.startswith("model churn 1  prod\n")


def test_they_travel(project):
    train(project, "a")
    project.ok("model", "add", "churn", "model.bin", "--stage", "prod")
    project.ok("config", "remote.origin.url", "../hub")
    project.ok("push", "-q")
    CommandLine(project.directory.parent, project.environment).ok("clone", "-q", "hub", "other")
    other = CommandLine(project.directory.parent / "other", project.environment)
    other.ok("model", "get", "churn@prod", "out")
    assert (other.directory / "out" / "model.bin").read_text() == "1\na\n"
    for person, word in ((project, "b"), (other, "c")):
        train(person, word)
        person.ok("model", "add", "churn", "model.bin")
    project.ok("push", "-q")
    other.ok("commit", "-q", "--allow-empty", "-m", "theirs")
    answer = other("push", "-q", "--json")
    assert "models/churn/versions/2" in answer.out + answer.err
    other.ok("fetch", "-q", "origin", "+models/churn/versions/2:models/churn/versions/2")
    other.ok("model", "add", "churn", "model.bin")
    other.ok("push", "-q", "origin", "+HEAD:refs-of-other", "models/churn/versions/3")
    project.ok("fetch", "-q")
    assert [version for _, version, _ in listed(project, "churn")] == [3, 2, 1]


def test_what_is_stored_is_of_a_known_form(project):
    from dsvc.models.version import decode_version
    from dsvc.repo.repository import Repository
    from dsvc.storage.local import LocalBackend

    train(project, "a")
    project.ok("model", "add", "churn", "model.bin")
    backend = LocalBackend(project.directory / ".dsvc" / "store")
    repo = Repository.open(backend, backend.staging)
    ref = repo.view().get("models/churn/versions/1")
    assert decode_version(repo.store.get(ref.id, Kind.RUN)).name == "churn"
    repo.close()
    assert json.loads(project.ok("model", "list", "--json").out)["schema"] == "dsvc.model"
