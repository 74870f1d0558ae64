"""`dsvc ci run`: which steps run, what they hear, and what is kept of them."""

from __future__ import annotations

import time

import pytest

from tests.commands.conftest import CommandLine

STEPS = """
[[delivery.steps]]
name = "check"
run = ["echo $DSVC_EVENT $DSVC_REF $DSVC_COMMIT >> said", "dsvc rev-parse HEAD >> said"]

[[delivery.steps]]
name = "deploy"
on = ["merge", "tag"]
refs = ["main", "v*"]
run = "echo deploy >> said; test ! -e broken"

[[delivery.steps]]
name = "mourn"
policy = "on_failure"
run = "echo mourn $DSVC_STATUS >> said"

[[delivery.steps]]
name = "close"
policy = "always"
run = "echo close >> said"
"""


@pytest.fixture
def steps(history) -> CommandLine:
    history.commit("first", {"dsvc.toml": STEPS, ".dsvcignore": "said\nbroken\n"})
    return history.cli


def results(cli: CommandLine, *words: str, code: int = 0) -> dict[str, str]:
    answer = cli("ci", "run", "--json", *words)
    assert answer.code == code, answer.err
    return {step["name"]: step["result"] for step in answer.json["steps"]}


def said(cli: CommandLine) -> list[str]:
    path = cli.directory / "said"
    lines = path.read_text().splitlines()
    path.unlink()
    return lines


def test_a_commit(steps: CommandLine):
    commit = steps.ok("rev-parse", "HEAD").out.strip()
    assert results(steps) == {"check": "ran", "mourn": "skipped", "close": "ran"}
    assert said(steps) == [f"commit main {commit}", commit, "close"]
    listed = steps.ok("ci", "list", "--json").json["steps"]
    assert {(s["step"], s["event"], s["ref"], s["commit"], s["state"]) for s in listed} == {
        ("check", "commit", "main", commit, "done"), ("close", "commit", "main", commit, "done"),
    }  # fmt: skip


def test_a_merge_is_known_by_itself(steps: CommandLine, history):
    steps.ok("switch", "-q", "-c", "side")
    history.commit("on the side", {"a": "1\n"})
    steps.ok("switch", "-q", "main")
    steps.ok("merge", "-q", "--no-ff", "side", "-m", "join")
    assert results(steps) == {"check": "ran", "deploy": "ran", "mourn": "skipped", "close": "ran"}
    assert said(steps)[0].startswith("merge main ")


def test_refs_choose(steps: CommandLine):
    assert "deploy" in results(steps, "tag", "--ref", "v1")
    assert "deploy" not in results(steps, "tag", "--ref", "other")
    assert "deploy" not in results(steps, "promote", "--ref", "churn@prod")
    assert steps("ci", "run", "tag").code == 2


def test_a_step_that_fails(steps: CommandLine):
    (steps.directory / "broken").touch()
    answer = results(steps, "merge", code=1)
    assert answer == {"check": "ran", "deploy": "failed", "mourn": "ran", "close": "ran"}
    assert said(steps)[-3:] == ["deploy", "mourn error", "close"]
    (steps.directory / "broken").unlink()
    assert results(steps, "merge", "--continue") == {
        "check": "done before", "deploy": "ran", "mourn": "skipped", "close": "done before",
    }  # fmt: skip
    assert said(steps) == ["deploy"]


def test_what_a_delivery_did_is_shown(steps: CommandLine):
    assert steps("ci", "show").code == 3
    loud = STEPS.replace("echo close >> said", "echo out; echo err >&2")
    (steps.directory / "dsvc.toml").write_text(loud)
    (steps.directory / "broken").touch()
    steps.ok("commit", "-q", "-m", "say more")
    commit = steps.ok("rev-parse", "HEAD").out.strip()
    results(steps, "merge", code=1)
    (steps.directory / "broken").unlink()
    for hour, words in ((2, ["merge", "--continue"]), (3, [])):  # the clock stands still otherwise
        steps.environment["DSVC_DATE"] = f"2026-01-01T0{hour}:00:00+01:00"
        results(steps, *words)
    assert steps.ok("ci", "show").out.startswith(f"commit on main, commit {commit[:10]}\n")
    key = next(s["run"] for s in steps.ok("ci", "list", "--json").json["steps"] if s["step"] == "deploy")
    for name in (key, key[-8:]) if steps("runs", "show", key[-8:]).code == 0 else (key,):
        shown = steps.ok("ci", "show", name, "--json").json
        assert (shown["event"], shown["ref"], shown["commit"]) == ("merge", "main", commit)
        # The newest of each: 'deploy' failed first and was done then, 'mourn' ran once.
        states = {s["step"]: (s["state"], s["exit_code"]) for s in shown["steps"]}
        assert states["deploy"] == ("done", 0)
        assert set(states) == {"check", "deploy", "mourn", "close"}
        close = next(s for s in shown["steps"] if s["step"] == "close")
        assert (close["stdout"], close["stderr"]) == (["out"], ["err"])
    text = steps.ok("ci", "show", "main", "--step", "close").out
    assert "\n  out\n  err\n" in text
    assert "check" not in text
    wrong = {"--step nope": "no step nope ran", "nonsense": "names neither", "HEAD~1": "no step ran for"}
    for words, why in wrong.items():
        answer = steps("ci", "show", *words.split())
        assert (answer.code, why in answer.err) == (3, True), answer.err


def test_one_step(steps: CommandLine):
    assert results(steps, "--step", "close") == {"close": "ran"}
    answer = steps("ci", "run", "--step", "nope")
    assert (answer.code, "there is no step nope" in answer.err) == (3, True)


def test_a_secret_that_is_too_short_to_be_masked(history):
    """Such a text would be found everywhere."""
    history.commit("first", {"dsvc.toml": "[[delivery.steps]]\nname = 'tell'\nsecrets = ['PIN']\nrun = 'echo done'\n"})
    history.cli.environment["PIN"] = "12345"
    assert "warning: PIN is too short to be masked: what tell prints" in history.cli.ok("ci", "run").err
    history.cli.environment["PIN"] = "123456"
    assert "warning" not in history.cli.ok("ci", "run").err


def test_secrets_are_needed_and_not_kept(history):
    step = "[[delivery.steps]]\nname = 'tell'\nsecrets = ['WEBHOOK']\nrun = 'echo to $WEBHOOK'\n"
    history.commit("first", {"dsvc.toml": step})
    missing = history.cli("ci", "run")
    assert (missing.code, "needs the secret WEBHOOK" in missing.err) == (3, True)
    history.cli.environment["WEBHOOK"] = "https://hooks.example.com/T0/B0/abcdef"
    assert results(history.cli) == {"tell": "ran"}
    run = history.cli.ok("ci", "list", "--json").json["steps"][0]["run"]
    shown = history.cli.ok("runs", "show", run, "--json")
    assert "abcdef" not in shown.out
    assert history.cli.ok("runs", "show", run, "--log").out == "to ***\n"
    packs = (history.cli.directory / ".dsvc/store/packs").rglob("*")
    assert not any(b"abcdef" in path.read_bytes() for path in packs if path.is_file())


def test_a_step_that_takes_too_long(history):
    step = "[[delivery.steps]]\nname = 'slow'\ntimeout = 3\nrun = 'touch began; exec sleep 600'\n"
    history.commit("first", {"dsvc.toml": step})
    began = time.monotonic()
    assert results(history.cli, code=1) == {"slow": "timed out"}
    assert time.monotonic() - began < 120


def test_nothing_to_do(history):
    history.commit("first", {"a": "1\n"})
    answer = history.cli.ok("ci", "run")
    assert "no step follows a commit on main" in answer.err
    assert history.cli.ok("ci", "list").out == ""


def test_no_commit_yet(history):
    assert history.cli("ci", "run").code == 3


def test_steps_of_dotscience(history, listener):
    listener.statuses = [503]
    text = f"""
kind: pipeline
after:
- name: tell
  image: quay.io/dotmesh/dotscience-slack-plugin
  settings:
    slackUrl: {listener.address}/services/T0/B0
    channel: ml
- name: build
  image: quay.io/dotmesh/dotscience-circleci-plugin:latest
  settings:
    token: the-token
    username: ada
    project: demo
    branch: main
    host: {listener.address}
    build_parameters: {{deploy: true}}
"""
    history.commit("first", {".dotscience.yml": text})
    assert results(history.cli) == {"tell": "ran", "build": "ran"}
    (_, _, _), (path, _, message), (there, headers, asked) = listener.posts  # the first was answered with 503
    assert (path, message["channel"], message["text"]) == ("/services/T0/B0", "ml", "project: the delivery is done")
    assert (there, headers["Circle-Token"]) == ("/api/v2/project/github/ada/demo/pipeline", "the-token")
    assert asked == {"branch": "main", "parameters": {"deploy": True}}


def test_steps_of_dotscience_after_a_run(history, listener):
    step = f"image: x/dotscience-slack-plugin\n  settings: {{slackUrl: '{listener.address}/hook'}}"
    text = f"after:\n- name: tell\n  {step}\n"
    history.commit("first", {".dotscience.yml": text})
    assert history.cli("run", "--after", "--", "true").code == 0
    assert [path for path, _, _ in listener.posts] == ["/hook"]
