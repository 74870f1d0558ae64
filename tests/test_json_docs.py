"""docs/json.md describes every JSON document that a command prints, and nothing else."""

from __future__ import annotations

import json
import re
import shlex
import sys
import venv
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from dsvc.commands.application import build_application
from dsvc.commands.registry import all_verbs
from tests.commands.conftest import CommandLine, cli
from tests.images.bases import tiny_members, write_base
from tests.json_page import PAGE, documented
from tests.servers.web import Web

__all__ = ["cli"]

# Lines in order, as typed in one repository; `!` writes a file, `=` sets a variable of the environment. Each dsvc line
# is run with --json.
STORY = """
! a.txt one
init
version
completion bash
! folder/b.txt two
add a.txt
commit -m first
! a.txt one\\nmore
status
diff
commit -m second
config core.editor vi
config core.editor
config --list
config --keys
config --unset core.editor
check-ignore -v a.txt
branch side
branch
branch --show-current
switch side
! a.txt one\\nside
commit -m aside
ls
cat HEAD:a.txt
show HEAD
log
blame a.txt
grep one
describe --always
tag -m word v1
tag
describe
verify-commit HEAD
verify-tag v1
rev-parse HEAD
merge-base main side
merge-base --is-ancestor main~1 side
export HEAD ../out
switch main
! a.txt one\\nmain
commit -m ours
merge side
merge --abort
merge side
resolve
! a.txt one\\nboth
resolve a.txt
merge --continue
merge side
undo
redo
op log
op show @
reflog
op restore @~1
reset --hard HEAD
switch -c picks HEAD~1
reset HEAD
! a.txt one\\npicks
commit -m picks
cherry-pick side
status
cherry-pick --abort
revert HEAD~1
revert --abort
revert HEAD
rebase side
rebase --abort
rebase main~1
reset --hard main
! a.txt aside
stash
stash list
stash show
! a.txt one\\nanother
commit -m another
stash apply
stash --abort
stash drop
! new.txt new
stash push
stash pop
stash clear
commit -m new
branch -D side
branch side HEAD~1
mv folder/b.txt folder/c.txt
commit -m moved
rm folder/c.txt
restore a.txt
checkout HEAD -- a.txt
checkout side
switch main
! junk.txt junk
clean -f
sparse set folder
sparse add other
sparse list
sparse reapply
sparse disable
worktree add ../other side
worktree list
worktree remove ../other
worktree prune
bisect start HEAD HEAD~1
bisect log
bisect reset
bisect start
bisect bad HEAD
bisect skip HEAD
bisect good HEAD~1
bisect reset
bisect start HEAD HEAD~1
bisect run true
bisect reset
git export ../git
git import ../git
fork . ../fork
gc
fsck
remote add origin ../hub
push
! a.txt one\\nfor others
commit -m others
push origin main
switch -c wish
! wish.txt wish
commit -m wish
request open
request list
request comment 1 -m why?
= DSVC_USER_EMAIL bob@example.com
request show 1
request diff 1
request approve 1
request close 1
request reopen 1
= DSVC_USER_EMAIL ada@example.com
! wish.txt more
commit -m more
request update 1
request checkout 1
request merge 1
switch main
remote
remote list
remote show
remote check --quick
remote get-url origin
clone ../hub ../clone
fetch
pull
data get
data usage
mount
umount --all
sync
ls-remote
bundle create ../all.bundle --all
bundle verify ../all.bundle
bundle list-heads ../all.bundle
bundle fetch ../all.bundle
gc --remote ../hub
branch -u origin/main
status
remote add other ../hub
remote set-url other ../hub
remote rename other another
remote prune origin
remote remove another
remote add --key-file ../key secret ../secret
push secret main
remote keys secret
remote remove secret
purge a.txt --reason why --yes
purge --list
! ada.pub ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBQ2gBu3nRh3RerLToLsGawtcMBV6+zn0MMleAgQb5Ur ada
hub init ../team
hub user add ../team ada --key ada.pub --role owner --authorized-keys ../keys
hub user list ../team
hub user role ../team ada writer --repo bikes/* --authorized-keys ../keys
hub repos ../team
hub log ../team
hub user remove ../team ada --authorized-keys ../keys
fork ../hub ../forked
hub forks ../forked
fork --delete ../forked --yes
push ../team/repos/demand main
hub put-away ../team demand --always
hub attic ../team
hub delete ../team demand --yes
env lock
! a.txt locked
commit -m locked
env show
env diff HEAD
env check
env restore HEAD ../again --installer uv
env export --requirements
run -- true
run -p lr=0.1 -- sh -c 'echo 1 > made.txt'
runs
runs list
runs show
runs diff @~1 @
runs comment @ good
! dsvc.toml [stages.one]\\ncmd = 'true'\\n[[delivery.steps]]\\nname = 'one'\\nrun = 'true'
repro -n
sweep -p a=1 -- true
runs plot --x params.lr --y elapsed
runs export ../runs.csv
blame-data made.txt
rerun made.txt --check
verify made.txt
report HEAD~1..HEAD --gate 'metrics.acc > 0'
ci init gitlab
ci run
ci list
ci show
ci hook
runs rm @~1
model add churn a.txt --framework words
model
model list churn
model show churn
model promote churn prod
model tag churn best
model get churn ../served
build churn --base ../base --environment HEAD
deploy churn --to manifest --base ../base --environment HEAD
deploy apply churn --base ../base --environment HEAD --replicas 2
deploy list
deploy status churn
deploy logs churn
deploy diff churn
show deployments/churn
deploy rollback churn --base ../base --environment HEAD
deploy churn --base ../base --environment HEAD --replicas 3 --canary 25
deploy promote churn --base ../base --environment HEAD
deploy rm churn
model rm churn@best
! predictor.py predict = lambda rows: rows.sum(axis=1)
model add adder predictor.py
! table.csv a,b\\n1,2
profile table.csv
model add summer predictor.py --profile table.csv
monitor check summer table.csv --min-samples 1
monitor init adder ../watch
monitor rules adder
monitor dashboard adder
monitor collect adder
serve adder --check --allow-pickle
lineage HEAD
verify http://served
import-url http://web/x.txt imported.txt
data list imported.txt
data where imported.txt
data update imported.txt
data drop --numcopies 0 imported.txt
! book.ipynb {"nbformat": 4, "cells": [{"cell_type": "code", "execution_count": 1, "source": "1", "outputs": []}]}
watch --once
doctor
nonsense
""".strip().splitlines()


NEEDS_A_POOL = {("data", "add"), ("data", "index")}  # in the tests of tests/zfs, if there can be a pool
SPEAKS_OTHERWISE = {("hub", "serve"), ("hub", "shell")}  # their stdout belongs to a protocol
ASKS_A_SERVER = {("monitor", which) for which in ("status", "compare", "up")}  # tests/monitoring has one


def with_json(line: str) -> list[str]:
    words = shlex.split(line)
    at = words.index("--") if "--" in words else 2 if words[:2] == ["bisect", "run"] else len(words)
    return [*words[:at], "--json", *words[at:]]


class Stranger(BaseHTTPRequestHandler):
    """A server that says it serves a model which nobody here knows."""

    def do_GET(self) -> None:
        """Answer."""
        body = json.dumps({"name": "other", "version": 1, "version_id": "00" * 32}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_words: object) -> None:
        """Say nothing."""


@pytest.fixture
def told(cli: CommandLine, web: Web) -> dict[str, dict[str, Any]]:
    """Line -> the document that it printed, of a story whose lines succeed, stop at a conflict or say no."""
    found: dict[str, dict[str, Any]] = {}
    web.files["/x.txt"] = b"from the web\n"
    tiny = cli.directory.parent / "tiny"
    venv.create(tiny, with_pip=False)
    cli.environment |= {"VIRTUAL_ENV": str(tiny), "PATH": f"{Path(sys.executable).parent}:{cli.environment['PATH']}"}
    write_base(cli.directory.parent / "base", tiny_members())
    server = ThreadingHTTPServer(("127.0.0.1", 0), Stranger)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        served = f"http://127.0.0.1:{server.server_port}"
        tell(cli, found, {"http://served": served, "http://web/x.txt": f"{web.url}/x.txt"})
    finally:
        server.shutdown()
        server.server_close()
    return found


def tell(cli: CommandLine, found: dict[str, dict[str, Any]], addresses: dict[str, str]) -> None:
    """Run the lines of the story; words that are addresses stand for those of servers."""
    for line in STORY:
        if line.startswith("! "):
            _, name, content = line.split(" ", 2)
            path = cli.directory / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(content.replace("\\n", "\n") + "\n")
            continue
        if line.startswith("= "):
            _, name, value = line.split(" ", 2)
            cli.environment[name] = value
            continue
        answer = cli(*(addresses.get(word, word) for word in with_json(line)))
        assert answer.code in ((2,) if line == "nonsense" else (0, 1, 12, 13)), (line, answer.err)
        found[line] = json.loads(answer.out or answer.err)


def test_every_document_is_on_the_page(told: dict[str, dict[str, Any]]) -> None:
    page = documented()
    for line, document in told.items():
        first, second, *fields = document
        assert [first, second] == ["schema", "version"], line
        assert document["schema"] in page, line
        assert (document["version"], fields) == page[document["schema"]], line
    told_elsewhere = {".".join(("dsvc", *words)) for words in NEEDS_A_POOL | ASKS_A_SERVER}
    told_here = {document["schema"] for document in told.values()}
    assert told_here | told_elsewhere == set(page), "the page knows what nobody prints"


def test_the_examples_are_documents_of_their_schema() -> None:
    for part in re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)[1:]:
        name = part.partition("\n")[0]
        example = re.search(r"^```json\n(.*?)^```$", part, re.MULTILINE | re.DOTALL)
        assert example, name
        document = json.loads(example[1])
        assert document["schema"] == name
        assert (document["version"], list(document)[2:]) == documented()[name]


def test_every_command_takes_json_and_is_in_the_story() -> None:
    root = build_application()
    spoken = [line.split() for line in STORY if not line.startswith(("! ", "= "))]
    for verb in all_verbs():
        command = root.get_command(None, verb.name)
        assert command is not None, verb.name
        for words, part in leaves((verb.name,), command):
            if words in SPEAKS_OTHERWISE | NEEDS_A_POOL | ASKS_A_SERVER:
                continue
            assert any("--json" in param.opts for param in part.params), words
            assert any(tuple(line[: len(words)]) == words for line in spoken), f"{words} is missing in the story"


def leaves(words: tuple[str, ...], command: Any) -> list[tuple[tuple[str, ...], Any]]:
    """The commands below a command, or itself."""
    parts = getattr(command, "commands", {})
    return [leaf for name, sub in parts.items() for leaf in leaves((*words, name), sub)] or [(words, command)]


def test_the_page_is_linked() -> None:
    assert "(json.md)" in (PAGE.parent / "index.md").read_text()
