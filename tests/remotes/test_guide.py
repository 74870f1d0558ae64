"""Two people work through the guide of remotes with an SSH host and a bucket in place of its folders.

`tests/test_docs.py` runs the page as it stands; that of hubs has its own test, `tests/hub/test_guide.py`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.sshd import DSVC, Sshd, sshd
from tests.test_docs import DOCS, END, console, is_shown, normal

__all__ = ["sshd"]

PLACES = ("hub", "backup", "trial")  # the guide's folders that are remotes


@pytest.mark.parametrize("kind", ["ssh", "s3"])
def test_the_guide(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    home = tmp_path / "home"
    home.mkdir()
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "GIT_CONFIG_NOSYSTEM": "1",
        "DSVC_USER_NAME": "Ada Keller",
        "DSVC_USER_EMAIL": "ada@example.com",
    }
    if kind == "ssh":
        server: Sshd = request.getfixturevalue("sshd")
        environment["DSVC_SSH_COMMAND"] = f"ssh -F {server.config}"
        settings = home / ".config" / "dsvc" / "config.toml"
        settings.parent.mkdir(parents=True)
        settings.write_text(f'[ssh]\ncommand = "{DSVC}"\n')
        base = f"ssh://{server.host}{tmp_path}/far"
        (tmp_path / "far").mkdir()
    else:
        weed = request.getfixturevalue("seaweed")
        environment |= weed.environment
        base = f"s3://{weed.bucket()}/far"
    shown = console(DOCS / "guides" / "remotes.md")

    def there(text: str) -> str:
        for name in PLACES:
            text = text.replace(f"/home/ada/{name}", f"{base}/{name}").replace(f"../{name}", f"{base}/{name}")
            text = text.replace(f"clone -q {name} ", f"clone -q {base}/{name} ")
        return text.replace(f"{base}/backup.bundle", "../backup.bundle")

    commands = [there(one.command) for one in shown]
    script = "exec 2>&1\n" + "".join(f"{command}\nprintf '{END}%d{END}' $?\n" for command in commands)
    done = subprocess.run(
        ["bash", "-c", script], cwd=home, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False
    )
    answers = done.stdout.decode().split(END)[:-1]
    assert len(answers) == 2 * len(shown), done.stdout
    for one, command, output, code in zip(shown, commands, answers[::2], answers[1::2], strict=True):
        assert int(code) == one.code, f"$ {command}\n{output}"
        written = iter(normal(output, home).splitlines())
        for line in normal(there("\n".join(one.lines)), home).splitlines():
            assert any(is_shown(line, candidate) for candidate in written), f"$ {command}\n{output}\nlacks: {line}"
    assert not [name for name in PLACES if (home / name).exists()]
