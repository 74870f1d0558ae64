"""Branch rules, quotas, signatures, purged content, hooks and races on a hub."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from dsvc.objects.ids import Kind
from dsvc.objects.tree import EntryKind
from tests.commands.conftest import Answer
from tests.hub.attacker import Attacker
from tests.hub.conftest import HubHost, Person
from tests.hub.test_access import refusals
from tests.hub.test_attacks import Forge, offer


def started(host: HubHost) -> tuple[Person, Person]:
    """An owner and a writer with clones of `vision`, which has one commit."""
    ada = host.user("ada", "owner").start("vision")
    ada.commit("first", code=b"1\n")
    ada.ok("push")
    return ada, host.user("walt", "writer").clone("vision")


def refused(answer: Answer, *words: str) -> None:
    assert answer.code == 14, answer.err
    for word in words:
        assert word in answer.err


def test_protected_branches(host: HubHost) -> None:
    ada, walt = started(host)
    walt.commit("second", code=b"2\n")
    walt.ok("push")
    walt.ok("push", "origin", "main:side")
    walt.commit("amended", code=b"3\n")
    walt.ok("push")
    walt.ok("reset", "-q", "--hard", "HEAD~2")
    walt.commit("other", code=b"4\n")
    refused(walt("push", "--force-with-lease"), "main is protected", "not given another history by walt (writer)")
    assert "owners" in walt("push", "--force-with-lease").err
    walt.ok("push", "--force-with-lease", "origin", "main:side")
    walt.ok("push", "--delete", "origin", "side")
    assert "default branch" in walt("push", "--delete", "origin", "main").err

    host.rules('[[protect]]\nrefs = ["main", "release/*", "tags/v*"]\npush = ["owner"]\nrewind = []\n')
    ada.ok("pull", "--ff-only")
    walt.ok("fetch")
    refused(walt("push", "origin", "HEAD:release/1"), "release/1 is protected", "may not push to it")
    refused(walt("push", "origin", "HEAD:tags/v1"), "protected")
    walt.ok("push", "origin", "HEAD:tags/w1")
    ada.ok("push", "origin", "HEAD:release/1")
    refused(ada("push", "--delete", "origin", "release/1"), "protected", "nobody")
    host.rules('[[protect]]\nrefs = ["main"]\npush = ["@walt"]\n')
    refused(ada("push", "-f", "origin", "HEAD~1:main"), "ada (owner) may not push")
    host.rules("protekt = 1\n")
    refused(walt("push", "origin", "HEAD:tags/w2"), "rules of this hub cannot be read")
    assert refusals(host)[0]["account"] == "walt"


def test_quotas(host: HubHost) -> None:
    host.rules("[limits]\npush_bytes = 500_000\nrepository_bytes = 900_000\n")
    _, walt = started(host)
    noise = random.Random(3)
    walt.commit("large", big=noise.randbytes(700_000))
    refused(walt("push"), "more than the 500,000 bytes")
    walt.ok("reset", "-q", "--hard", "HEAD~1")
    walt.commit("one", one=noise.randbytes(400_000))
    walt.ok("push")
    walt.commit("two", two=noise.randbytes(400_000))
    walt.ok("push")
    walt.commit("three", three=noise.randbytes(400_000))
    refused(walt("push"), "its quota is 900,000")
    host.rules("[limits]\npush_objects = 2\n")
    refused(walt("push"), "takes 2 at once")
    host.rules("")
    walt.ok("push")
    host.rules("")
    assert not list((host.folder / "quarantine").rglob("packs/*")), "nothing waits any more"


def test_what_was_purged_does_not_come_back(host: HubHost, tmp_path: Path) -> None:
    ada, walt = started(host)
    secret = b"password\n" * 100
    walt.ok("switch", "-q", "-c", "leak")
    walt.commit("secret", secret=secret)
    name = walt.ok("rev-parse", "HEAD:secret").out.strip()
    ada.ok("fetch", str(walt.directory), "leak")
    ada.ok("merge", "-q", "FETCH_HEAD")
    ada.ok("purge", name, "--reason", "a password", "--yes")
    ada.ok("push")
    walt.ok("switch", "-q", "main")
    walt.ok("switch", "-q", "-c", "again")
    walt.commit("once more", copy=secret)
    refused(walt("push"), "purged", "a password")

    forge = Forge(tmp_path / "forge")
    file_id = forge.store.put_content(secret)
    commit = forge.commit((b"secret", EntryKind.FILE, file_id, len(secret)))
    with Attacker(host, "walt", "vision") as by_hand:
        by_hand.hello()
        said = offer(by_hand, forge.packs(), ["heads/leak", None, [int(Kind.COMMIT), commit]])
        assert "was purged by ada" in said
        assert "a password" in said


def test_notes_on_purges_are_signed(host: HubHost) -> None:
    ada, walt = started(host)
    host.rules("signed_purges = true\n")
    host.signers("walt")
    for number, words in enumerate([("--no-sign",), (f"-S{host.key('ada')}",), (f"-S{host.key('walt')}",)]):
        walt.ok("switch", "-q", "-c", f"side{number}", "main")
        walt.commit("secret", secret=b"password %d\n" % number)
        walt.ok("purge", "secret", "--reason", "a password", "--yes", *words)
        (walt.directory / "secret").unlink()  # the last copy, which no switch takes away
        if number < 2:
            answer = walt("push", "-u", "origin", f"side{number}")
            refused(answer, "was purged needs a signature", ["it has none", "names this key"][number])
        else:
            walt.ok("push", "-u", "origin", f"side{number}")
    ada.ok("fetch")
    assert ada.ok("purge", "--list").out.count("purged by") == 1


def test_hooks(host: HubHost) -> None:
    _, walt = started(host)
    host.hook(
        "pre-receive",
        "import os, sys\n"
        "print('account', os.environ['DSVC_ACCOUNT'], 'repository', os.environ['DSVC_REPO'])\n"
        "for line in sys.stdin:\n"
        "    old, new, name = line.split()\n"
        "    print(name, len(old), len(new), old == '0' * 64)\n"
        "    if name == 'heads/no':\n"
        "        sys.exit('\\x1b[31mnot this one')\n",
    )
    host.hook("post-receive", "import sys\nprint('after', len(sys.stdin.readlines()))\nsys.exit(3)\n")
    walt.commit("second", code=b"2\n")
    pushed = walt.ok("push")
    assert "remote: account walt repository vision" in pushed.err
    assert "remote: heads/main 64 64 False" in pushed.err
    assert "remote: after 1" in pushed.err
    assert "post-receive ended with code 3" in pushed.err
    answer = walt("push", "origin", "main:no")
    refused(answer, "remote: heads/no 64 64 True", "remote: ?[31mnot this one", "pre-receive refuses it with code 1")
    assert walt("ls-remote").out.count("heads/") == 1
    assert refusals(host)[0]["account"] == "walt"

    host.rules("hook_seconds = 5\n")
    left = host.base / "left"
    host.hook(
        "pre-receive",
        "import subprocess, sys, time\n"
        f"subprocess.Popen(['sh', '-c', 'sleep 9; touch {left}'])\n"
        "print('waiting', flush=True)\ntime.sleep(600)\n",
    )
    begun = time.monotonic()
    refused(walt("push", "origin", "main:slow"), "remote: waiting", "took longer than 5 seconds and was ended")
    assert time.monotonic() - begun < 60
    host.hook("pre-receive", "import sys\nfor _ in range(20000):\n    print('x' * 1000)\n")
    host.rules("hook_seconds = 30\n")
    shouted = walt.ok("push", "origin", "main:loud")
    assert 60_000 < len(shouted.err) < 80_000, "64 KiB are passed on"
    (host.folder / "hooks" / "pre-receive").write_text("no program")
    refused(walt("push", "origin", "main:odd"), "cannot be run")
    (host.folder / "hooks" / "pre-receive").chmod(0o644)
    refused(walt("push", "origin", "main:open"), "pre-receive cannot be run: it is not executable")
    host.hook("pre-receive", "import os\nos.kill(os.getpid(), 9)\n")
    refused(walt("push", "origin", "main:open"), "pre-receive was killed by signal 9")
    (host.folder / "hooks" / "pre-receive").unlink()
    walt.ok("push", "origin", "main:fine")
    assert not left.exists(), "what a hook started ends with it"


@pytest.mark.parametrize("same", [True, False], ids=["the same branch", "different branches"])
def test_two_writers_at_once(host: HubHost, same: bool) -> None:
    _, walt = started(host)
    others = [walt, *(host.user(f"w{number}", "writer").clone("vision") for number in range(3))]
    for number, person in enumerate(others):
        person.commit("mine", code=b"by %d\n" % number)
    answers: dict[int, subprocess.CompletedProcess[str]] = {}

    def push(number: int, person: Person) -> None:
        words = [sys.executable, "-m", "dsvc", "push", "-q", "origin", "main" if same else f"main:b{number}"]
        answers[number] = subprocess.run(
            words, cwd=person.directory, env=person.environment, capture_output=True, text=True, check=False
        )

    threads = [threading.Thread(target=push, args=item) for item in enumerate(others)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    codes = sorted(done.returncode for done in answers.values())
    assert codes == ([0, 12, 12, 12] if same else [0, 0, 0, 0]), [done.stderr for done in answers.values()]
    pushes = [e for e in host.hub("log", str(host.folder), "--json").json["entries"] if e["what"] == "push"]
    assert len(pushes) == 1 + codes.count(0)
    check = host.person("ada").clone("vision")
    check.ok("fsck")
    assert check.ok("branch", "-r").out.count("/b") == (0 if same else 4)
