"""Credentials never get into a record, an operation or a kept log."""

from __future__ import annotations

import json
import sys

import pytest

from dsvc.config.secret_names import is_secret_name
from dsvc.runs.masking import MASK, Masker, StreamMasker, secret_values

SECRET = "c0ffee-5eCreT-0123456789"


def everything(project) -> bytes:
    """All that the repository says of its runs and operations."""
    run = project.shown()
    parts = [json.dumps(run), project.ok("op", "log"), project.ok("runs", "show"), project.ok("runs", "--csv")]
    parts += [project.ok("runs", "show", "--log"), project.ok("runs", "show", "--err")]
    parts.append(project.ok("op", "show", "@"))
    return "\n".join(parts).encode()


@pytest.mark.parametrize(
    "words",
    [
        ("--api-key", SECRET),
        (f"--api-key={SECRET}",),
        ("--password", SECRET),
        (f"DB_PASSWORD={SECRET}",),
        (f"HF_TOKEN={SECRET}",),
        ("--header", f"Authorization: Bearer {SECRET}"),
        (f"postgres://ada:{SECRET}@db/x",),
        ("--aws_secret_access_key", SECRET),
        ("--auth-token", SECRET),
    ],
)
def test_words_of_the_command_line(project, words):
    shown = project.ok("run", "-q", "--", "sh", "-c", 'printf "%s\\n" "$@"', "sh", *words)
    assert SECRET in shown, "what is shown is not what is kept"
    assert SECRET.encode() not in everything(project)
    assert MASK in " ".join(project.shown()["command"])
    assert MASK in project.ok("runs", "show", "--log")


def test_values_of_variables(project):
    environment = {**project.environment, "WANDB_API_KEY": SECRET}
    script = f"import os, sys, time; print('key is', os.environ['WANDB_API_KEY']); sys.stderr.write('{SECRET}')"
    words = ["-p", f"note=uses {SECRET} here", "-l", f"kind={SECRET}", "-m", f"about {SECRET}"]
    words += ["--env", "WANDB_API_KEY", "--env", "LANG"]
    done = project("run", "-q", *words, "--", sys.executable, "-c", script, SECRET, env=environment)
    assert SECRET.encode() in done.stdout, "what is shown is not what is kept"
    assert SECRET.encode() not in everything(project)
    run = project.shown()
    assert run["params"]["note"] == f"uses {MASK} here"
    assert run["variables"] == {"WANDB_API_KEY": MASK, "LANG": "C.UTF-8"}
    assert project.ok("runs", "show", "--log") == f"key is {MASK}\n"


def test_params_files_and_the_api(project):
    project.write("params.toml", f'lr = 0.1\napi_key = "{SECRET}"\n[db]\npassword = "{SECRET}"\nhost = "x"\n')
    script = (
        "import dsvc\n"
        f"run = dsvc.start_run(params={{'token': '{SECRET}', 'max_token': 'a'}})\n"
        f"run.param('secret', '{SECRET}'); run.param('layers', 3)\n"
        "raise ValueError('failed with ' + __import__('os').environ['MY_SECRET'])\n"
    )
    project.write("script.py", script)
    environment = {**project.environment, "MY_SECRET": SECRET}
    project("run", "-q", "--", sys.executable, "script.py", env=environment)
    run = project.shown()
    shown = json.dumps(run["params"]) + run["error"]
    assert SECRET not in shown
    assert run["params"]["db"] == {"password": MASK, "host": "x"}
    assert (run["params"]["lr"], run["params"]["layers"], run["params"]["max_token"]) == (0.1, 3, "a")


@pytest.mark.parametrize("name", ["API_KEY", "aws_secret_access_key", "HF_TOKEN", "PGPASSWORD", "my-token", "apiKey",
                                  "SECRET", "db.password", "CLIENT_SECRET_ID", "MYSQL_PWD", "OPENAI_API_KEY_2",
                                  "MYAPPTOKEN", "DB_PASS", "SENTRY_DSN", "SESSION_COOKIE", "PGSESSION_PIN",
                                  "BIKES_ACCESSKEY"])
def test_names_of_secrets(name):
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["key", "lr", "PWD", "OLDPWD", "tokenizer", "max_tokens", "pad_token", "sort_key",
                                  "public_key", "keyboard", "monkey", "n_keys", "LANG", "HOME", "", "pin_memory",
                                  "n_passes", "eostoken", "2", "TOKENIZERS_PARALLELISM", "session_length"])
def test_names_of_no_secrets(name):
    assert not is_secret_name(name)


def test_known_forms():
    masker = Masker()
    for text in ("ghp_" + "a1" * 18, "AKIA" + "ABCD1234" * 2, "sk-" + "x1" * 12, "hf_" + "b2" * 17):
        assert masker.text(f"use {text} now") == f"use {MASK} now"
    assert masker.text("https://user:pass@host/x") == f"https://user:{MASK}@host/x"
    assert masker.text("task-list and risk-averse people") == "task-list and risk-averse people"


@pytest.mark.parametrize("step", [1, 2, 3, 7, 100])
def test_a_stream_in_any_pieces(step):
    data = b"a secretx" + SECRET.encode() + b" and c0ffee-5 and " + SECRET.encode()
    masker = StreamMasker([SECRET, "secretx"])
    out = b"".join(masker.feed(data[at : at + step]) for at in range(0, len(data), step)) + masker.finish()
    assert out == b"a ******" + b" and c0ffee-5 and ***"


def test_short_values_are_no_secrets():
    assert secret_values({"A_KEY": "1", "B_TOKEN": "longer-value", "X": "longer-value-2"}) == ("longer-value",)
