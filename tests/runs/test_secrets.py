"""Credentials never get into a record, an operation or a kept log."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import pytest

from dsvc.config.secret_names import is_secret_name
from dsvc.runs.masking import FormsReader, Masker, StreamMasker, secret_values
from dsvc.runs.secret_words import MASK

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
        (json.dumps({"token": SECRET, "rate": 1}),),
        (f'--config={{"args": ["--password", "{SECRET}"]}}',),
        (f"--header=X-Api-Key: {SECRET}",),
        (f"ssh far train --token {SECRET}",),
        (f"postgres://ada:c0@{SECRET}@db/x",),
        ("curl", "-sSu", f"ada:{SECRET}"),
        ("curl", "--user", f"ada:{SECRET}"),
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
                                  "BIKES_ACCESSKEY", "OPENAI_API_KEYS"])
def test_names_of_secrets(name):
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["key", "lr", "PWD", "OLDPWD", "tokenizer", "max_tokens", "pad_token", "sort_key",
                                  "public_key", "keyboard", "monkey", "n_keys", "LANG", "HOME", "", "pin_memory",
                                  "n_passes", "eostoken", "2", "TOKENIZERS_PARALLELISM", "session_length",
                                  "metric-key", "label_key", "keys", "num_tokens", "key-column"])
def test_names_of_no_secrets(name):
    assert not is_secret_name(name)


def test_known_forms():
    masker = Masker()
    for text in ("ghp_" + "a1" * 18, "AKIA" + "ABCD1234" * 2, "sk-" + "x1" * 12, "hf_" + "b2" * 17):
        assert masker.text(f"use {text} now") == f"use {MASK} now"
    assert masker.text("https://user:pass@host/x") == f"https://user:{MASK}@host/x"
    assert masker.text("https://user:p@ss@host/x@y") == f"https://user:{MASK}@host/x@y"
    hosts = '{"at": "http://host:80","by": "ada@example.com"}'
    assert masker.text(hosts.replace(" ", "")) == hosts.replace(" ", "")
    assert masker.text("task-list and risk-averse people") == "task-list and risk-averse people"


@pytest.mark.parametrize("step", [1, 2, 3, 7, 100])
def test_a_stream_in_any_pieces(step):
    data = b"a secretx" + SECRET.encode() + b" and c0ffee-5 and " + SECRET.encode()
    masker = StreamMasker([SECRET, "secretx"])
    out = b"".join(masker.feed(data[at : at + step]) for at in range(0, len(data), step)) + masker.finish()
    assert out == b"a ******" + b" and c0ffee-5 and ***"


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("args", ("--token", SECRET, "--x", 5), ("--token", MASK, "--x", 5)),
        ("args", ("--pin", 123456), ("--pin", MASK)),
        ("args", ("sh", "-c", f"A_KEY={SECRET} run"), ("sh", "-c", f"A_KEY={MASK} run")),
        ("deep", {"a": ({"b": ((f"--api-key={SECRET}",),)},)}, {"a": ({"b": ((f"--api-key={MASK}",),)},)}),
        ("env", ({"name": "HF_TOKEN", "value": SECRET},), ({"name": "HF_TOKEN", "value": MASK},)),
        ("env", ({"name": "HOME", "value": "/root"},), ({"name": "HOME", "value": "/root"},)),
        ("secrets", {"db": SECRET, "port": 1}, {"db": MASK, "port": 1}),
        ("line", f"train --token {SECRET} --tokenizer bert", f"train --token {MASK} --tokenizer bert"),
        ("line", f"curl -H 'X-Api-Key: {SECRET}' -H 'Accept-Encoding: gzip'",
         f"curl -H 'X-Api-Key: {MASK}' -H 'Accept-Encoding: gzip'"),
        ("json", json.dumps({"password": SECRET}), json.dumps({"password": MASK})),
        ("password", 1234, MASK),
        ("password_length", 8, 8),
        ("cookie_recall", 0.75, 0.75),
        ("code", "sorted(x, my_key=first)", "sorted(x, my_key=first)"),
        ("note", "--num_tokens 5 --key-column id --tokenizer=bert", "--num_tokens 5 --key-column id --tokenizer=bert"),
        ("text", '{"tokenizer":"bert"}', '{"tokenizer":"bert"}'),
    ],
)
def test_values_of_parameters(name, value, kept):
    assert Masker().value(name, value) == kept


def test_a_credential_in_a_list_given_as_a_parameter(project):
    project.write("params.yaml", f"model:\n  args: [--token, {SECRET}1]\n")
    given = json.dumps(["--token", f"{SECRET}2", "--rate", 1])
    words = ["-p", f"args={given}", "--", "cat", "params.yaml", "--", "params.yaml"]
    project.ok("run", "-q", *words)
    assert SECRET.encode() not in everything(project)
    assert project.shown()["params"]["args"] == ["--token", MASK, "--rate", 1]
    assert f"[--token, {MASK}]" in project.ok("runs", "show", "--log"), "what the file gives and the program prints"


def test_short_values_are_no_secrets():
    assert secret_values({"A_KEY": "1", "B_TOKEN": "longer-value", "X": "longer-value-2"}) == ("longer-value",)


@pytest.mark.parametrize(
    ("script", "kept"),
    [
        (f"export API_KEY={SECRET}; N=3; echo done", f"export API_KEY={MASK}; N=3; echo done"),
        (f"A=1 DB_PASSWORD='{SECRET} x' env", f"A=1 DB_PASSWORD={MASK} env"),
        (f"python t.py --password {SECRET} --rate 1", f"python t.py --password {MASK} --rate 1"),
        (f"python t.py --api-key={SECRET}|cat", f"python t.py --api-key={MASK}|cat"),
        ("PASS=0; N_PASS=$((PASS + 1)); TOKEN=$(cat token) KEY=x; python t.py --token $TOKEN --password \"$PW\"", None),
    ],
)
def test_the_text_of_a_shell(script, kept):
    for words in (["sh", "-c"], ["nice", "/bin/bash", "-ec"]):
        assert Masker().words([*words, script]) == [*words, kept or script]
        assert bool(secret_values({}, [*words, script])) == (kept is not None)
    python = ["python", "-c", "import os; api_key=input()"]
    assert Masker().words(python) == python


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        (f"curl -u ada:{SECRET} -o a:b http://h/", f"curl -u ada:{MASK} -o a:b http://h/"),
        (f"nice -n 5 /usr/bin/curl -sLuada:{SECRET} x", f"nice -n 5 /usr/bin/curl -sLuada:{MASK} x"),
        (f"curl --proxy-user=ada:{SECRET} x", f"curl --proxy-user=ada:{MASK} x"),
        (f"sshpass -p {SECRET} ssh -p 2222 far", f"sshpass -p {MASK} ssh -p 2222 far"),
        (f"mysql -u root -p{SECRET} shop", f"mysql -u root -p{MASK} shop"),
        (f"redis-cli -p 6379 -a {SECRET} get x", f"redis-cli -p 6379 -a {MASK} get x"),
        (f"docker login -u ada -p {SECRET} hub", f"docker login -u ada -p {MASK} hub"),
        ("docker run --user 1000:1000 -u 1:2 -p 80:80 --network a:b image", None),
        ("python train.py -u a:b -p 5 --user 1:2", None),
        ("curl -u ada -A Firefox:5 -X a:b http://h:80/p@q", None),
        ("wget -U Firefox:5 -P a:b http://h", None),
        ("mysql -u root -p shop", None),
    ],
)
def test_short_options_of_some_programs(line, kept):
    words = line.split()
    assert Masker().words(words) == (kept or line).split()
    assert Masker().words(["sh", "-c", f"cd x && {line}"]) == ["sh", "-c", f"cd x && {kept or line}"]
    assert Masker().value("note", line) == (kept or line)
    assert bool(secret_values({}, words)) == (kept is not None)


def test_short_options_in_the_text_of_a_shell():
    script = f"curl 'http://h?a=1&b' \\\n -u 'ada:{SECRET}' | tar x; run -u 1:2; curl -u \"$U:$P\" x; curl -u ada:$(p)"
    assert Masker().words(["sh", "-c", script]) == ["sh", "-c", script.replace(SECRET, MASK)]


def test_a_short_credential_is_no_parameter_either(project):
    project("run", "-q", "--", "curl", "--user", "ada:pw1", "--rate", "3", "x:")
    run = project.shown()
    assert (run["params"], run["command"][2]) == ({"user": f"ada:{MASK}", "rate": 3}, f"ada:{MASK}")


def test_texts_that_are_logged_and_words_that_are_said_again(project):
    script = (
        "import dsvc, os, sys\n"
        "key, word = os.environ['MY_SECRET'], sys.argv[2]\n"
        "dsvc.metric('note', key); dsvc.log(text=key, loss=0.5); dsvc.log(text=word)\n"
        "dsvc.param('copy', word); dsvc.description(word)\n"
        "raise ValueError(word)\n"
    )
    project.write("script.py", script)
    words = ["script.py", "--password", "w0rd-of-the-line"]
    environment = {**project.environment, "MY_SECRET": SECRET}
    alone = [sys.executable, *words]
    for command in ([sys.executable, "-m", "dsvc", "run", "-q", "--", *alone], alone):
        subprocess.run(command, cwd=project.folder, env=environment, check=False, capture_output=True)
        project.ok("runs", "export", "--series", f"../{len(command)}.csv")
        kept = json.dumps(project.shown()).encode() + (project.folder.parent / f"{len(command)}.csv").read_bytes()
        assert SECRET.encode() not in kept
        assert b"w0rd-of-the-line" not in kept
        assert project.shown()["metrics"] == {"note": MASK}


def test_known_forms_in_the_output_that_is_kept(project):
    token = "ghp_" + "a1" * 18
    lines = [f"use {token} now", "git clone https://ada:pa55word@host/x", "Authorization: Basic YWRhOmxvdmVsYWNl"]
    lines += ["token classification with basic training", "Bearer abcdef123456 and more"]
    project.write("said", "\n".join(lines))
    assert token in project.ok("run", "-q", "--", "cat", "said")
    assert project.ok("runs", "show", "--log").splitlines() == [
        f"use {MASK} now", f"git clone https://ada:{MASK}@host/x", f"Authorization: Basic {MASK}",
        lines[3], f"Bearer {MASK} and more",
    ]


def test_forms_in_a_stream_of_any_size():
    line = b"x" * 700_000 + b" ghp_" + b"a1" * 18 + b" end\n"
    source = io.BytesIO(line * 5 + b"hf_" + b"b2" * 17)
    read = FormsReader(source.read).read
    assert b"".join(iter(lambda: read(1000), b"")) == line.replace(b"ghp_" + b"a1" * 18, b"***") * 5 + b"***"


def test_comments_and_reasons(project):
    project.ok("run", "-q", "--", "true")
    environment = {**project.environment, "MY_SECRET": SECRET}
    project.ok("runs", "comment", "@", f"with {SECRET}", env=environment)
    project.ok("runs", "comment", "@", "-l", f"kind={SECRET}", env=environment)
    run = project.shown()
    assert (run["notes"][0]["text"], run["labels"]) == (f"with {MASK}", {"kind": MASK})
    project.ok("runs", "rm", "@", "--reason", f"had {SECRET}", env=environment)
    assert SECRET not in project.ok("op", "log")
