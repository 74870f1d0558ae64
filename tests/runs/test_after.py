"""The steps of `.dotscience.yml` that follow a run."""

from __future__ import annotations

import pytest

from dsvc.pipelines.after import BadStepsError, plugin_name, read_steps

STEPS = """
kind: pipeline
name: default
after:
- name: report
  runPolicy: on-success
  commands:
  - test -f made.txt
  - echo "$PLUGIN_STATUS $PLUGIN_SLACK_URL $PLUGIN_LIST $TOKEN" > report.txt
  settings: {slackUrl: "https://x.test", list: [1, b], flag: true}
  environment: [TOKEN=abc]
- name: alarm
  runPolicy: on_failure
  commands: echo "$PLUGIN_STATUS $DOTSCIENCE_TASK_ID" > alarm.txt
- name: broken
  commands: ["exit 4", "touch never"]
- name: later
  commands: [touch later]
- name: last
  runPolicy: always
  commands: ['echo "$PLUGIN_STATUS" > last.txt']
"""


@pytest.fixture
def steps(project):
    project.write(".dotscience.yml", STEPS)
    return project


def read(project, name):
    return (project.folder / name).read_text().strip()


def exists(project, name):
    return (project.folder / name).exists()


def test_steps_follow_a_run_that_asks_for_it(steps):
    done = steps("run", "--after", "--", "sh", "-c", "echo 1 > made.txt")
    assert done.returncode == 1  # of the steps
    assert b"step broken failed with exit code 4" in done.stderr
    assert read(steps, "report.txt") == "ok https://x.test 1,b abc"
    assert not exists(steps, "alarm.txt")
    assert not exists(steps, "never")
    assert not exists(steps, "later")  # after a failure
    assert read(steps, "last.txt") == "error"
    runs = {run["labels"]["stage"]: run for run in steps.runs("--where", "labels.stage ~ ''")}
    assert {name: run["state"] for name, run in runs.items()} == {"report": "done", "broken": "failed", "last": "done"}
    first = steps.runs()[-1]
    assert {run["labels"]["after"] for run in runs.values()} == {first["run"]}
    steps.sound()


def test_after_a_failure_the_others_follow(steps):
    steps.ok("config", "run.after", "true")
    done = steps("run", "--", "sh", "-c", "exit 3")
    assert done.returncode == 3
    assert read(steps, "alarm.txt").split()[0] == "error"
    (failed,) = steps.runs("--where", "exit_code = 3")
    assert read(steps, "alarm.txt").split()[1] == failed["run"]
    assert not exists(steps, "report.txt")
    assert read(steps, "last.txt") == "error"


def test_nothing_follows_unasked(steps):
    done = steps("run", "--", "true")
    assert done.returncode == 0
    assert b"--after" in done.stderr
    assert not exists(steps, "last.txt")


def test_a_file_that_is_no_list_of_steps_keeps_the_run_from_beginning(steps):
    steps.write(".dotscience.yml", "after: [{name: x, commands: ['true'], runPolicy: sometimes}]")
    done = steps("run", "--after", "--", "touch", "made")
    assert done.returncode == 125
    assert b"runPolicy of step x" in done.stderr
    assert not exists(steps, "made")


@pytest.mark.parametrize(
    "text",
    [
        "[",
        "- a",
        "kind: other",
        "after: 3",
        "after: [3]",
        "after: [{name: a}]",
        "after: [{name: a, commands: [1]}]",
        "after: [{name: a, commands: [x], settings: 3}]",
        "after: [{name: a, commands: [x], environment: {'a b': 1}}]",
        "after: [{name: [], commands: [x]}]",
        "a: &a [*a]\nafter: *a",
    ],
)
def test_other_forms_are_refused(tmp_path, text):
    (tmp_path / ".dotscience.yml").write_text(text)
    with pytest.raises(BadStepsError):
        read_steps(tmp_path)


def test_names_of_settings():
    names = {plugin_name(name) for name in ("slackUrl", "slack-url", "slack_url", "SLACK_URL", "slack url")}
    assert names == {"PLUGIN_SLACK_URL"}
    assert plugin_name("token") == "PLUGIN_TOKEN"
