"""The guide, run beside two pools. zfs-fuse knows no other names for them than those of the guide: tank and far."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tests.test_docs import DOCS, is_shown, normal
from tests.tools.zfs_pool import a_pool

BLOCK = re.compile(r"^```console zfs\n(.*?)^```$", re.MULTILINE | re.DOTALL)
END = "\x1e"


def test_the_guide(tmp_path: Path) -> None:
    shown: list[tuple[str, list[str]]] = []
    for block in BLOCK.findall((DOCS / "guides" / "zfs.md").read_text()):
        for line in block.splitlines():
            if line.startswith("$ "):
                shown.append((line[2:], []))
            else:
                shown[-1][1].append(line)
    home = tmp_path / "home"
    home.mkdir()
    script = home / "script"
    script.write_text(
        f"cd {home}\nexec 2>&1\n" + "".join(f"{command}\nprintf '{END}%d{END}' $?\n" for command, _ in shown)
    )
    with a_pool(home, "256M") as pool:
        for name in ("tank", "far"):
            disk = f"{pool.disk}-{name}"
            with open(pool.inside(disk), "wb") as file:
                file.truncate(128 << 20)
            made = pool.run("zpool", "create", "-O", "atime=off", "-m", "none", name, disk)
            assert made.code == 0, made.err
        pool.environment["PATH"] = f"{Path(sys.executable).parent}:{pool.environment['PATH']}"
        answers = pool.run("bash", str(script)).out.split(END)
    assert len(answers) == 2 * len(shown) + 1, answers[-1]
    for (command, lines), output, code in zip(shown, answers[::2], answers[1::2], strict=False):
        announced = re.search(r"# exit code (\d+)$", command)
        assert int(code) == (int(announced[1]) if announced else 0), f"$ {command}\n{output}"
        said = iter(normal(output, home).splitlines())
        for line in lines:
            assert any(is_shown(line, candidate) for candidate in said), f"$ {command}\n{output}\nlacks: {line}"
