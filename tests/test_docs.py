"""The pages tell the truth: their commands run as shown, and their links lead somewhere."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.environments.wheels import make_wheel
from tests.images.bases import tiny_members, write_base

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), ROOT / "README.md", ROOT / "CHANGELOG.md"])
END = "\x1e"


@dataclass
class Shown:
    """A command of a page, the exit code it announces, and the lines that are shown below it."""

    command: str
    code: int = 0
    lines: list[str] = field(default_factory=list)


def console(page: Path) -> list[Shown]:
    """The commands in the `console` blocks of a page: `$` begins one, `>` continues it, the rest is output."""
    shown: list[Shown] = []
    for block in re.findall(r"^```console\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                announced = re.search(r"# exit code (\d+)$", line)
                shown.append(Shown(line[2:], int(announced[1]) if announced else 0))
            elif line == ">" or line.startswith("> "):
                shown[-1].command += "\n" + line[2:]
            else:
                shown[-1].lines.append(line)
    return shown


def normal(text: str, home: Path) -> str:
    """Text without what differs from run to run: short ids, the home folder, space at the ends of lines."""
    text = text.replace(str(home), "/home/ada")
    text = re.sub(r"\b(?=[0-9a-f]*[0-9])[0-9a-f]{10}(?:[0-9a-f]{2})?\b", "<id>", text)
    return re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE)


def is_shown(line: str, written: str) -> bool:
    """Whether a line of the page is a line that was written; `...` stands for any text."""
    pattern = ".*".join(re.escape(part) for part in line.split("..."))
    return re.fullmatch(pattern, written) is not None


def dvc_project(home: Path) -> None:
    """What a DVC project looks like after `dvc checkout`."""
    project = home / "bikes"
    (project / "data").mkdir(parents=True)
    (project / ".dvc").mkdir()
    (project / ".dvc" / "config").write_text("[core]\n    remote = storage\n")
    (project / ".dvc" / ".gitignore").write_text("/config.local\n/tmp\n/cache\n")
    (project / "data" / "rentals.csv").write_text("hour,rented\n" * 1000)
    (project / "data" / "rentals.csv.dvc").write_text("outs:\n- md5: 0\n  path: rentals.csv\n")
    (project / "data" / ".gitignore").write_text("/rentals.csv\n")
    (project / "train.py").write_text("print('fitting')\n")


def folder_of_wheels(home: Path) -> None:
    """Two packages, one of them in two versions."""
    make_wheel(home / "wheels", "left-pad", "1.0")
    for version in ("2.0", "2.1"):
        make_wheel(home / "wheels", "rentals", version, headers=("Requires-Dist: left-pad",))


def sources(home: Path, request: pytest.FixtureRequest) -> dict[str, str]:
    """A web server and a bucket with data, and a program that uploads to it."""
    pytest.importorskip("obstore")
    web, seaweed = request.getfixturevalue("web"), request.getfixturevalue("seaweed")
    web.files["/rentals.csv"] = b"hour,rented\n" * 1000
    client = seaweed.client()
    client.create_bucket(Bucket="rides")
    for number in (1, 2, 3):
        client.put_object(Bucket="rides", Key=f"2026/{number:04}.jpg", Body=bytes([number]) * 100_000)
    upload = home / "bin" / "upload"
    upload.parent.mkdir()
    code = "import sys; from tests.servers.seaweed import plain_client as c; a, b = sys.argv[1:]"
    code += f"; c('{seaweed.endpoint}').put_object(Bucket='rides', Key=b[11:], Body=open(a, 'rb'))"
    upload.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -c "{code}" "$@"\n')
    upload.chmod(0o755)
    return {**seaweed.environment, "DATA": web.url, "PATH": f"{upload.parent}{os.pathsep}"}


SERVED = {"large-data.md": sources}
def small_notebook(home: Path) -> None:
    """A notebook that was run."""

    def code(source: str, printed: str, count: int) -> dict[str, object]:
        outputs = [{"output_type": "stream", "name": "stdout", "text": [printed]}]
        lines = source.splitlines(keepends=True)
        return {"cell_type": "code", "metadata": {}, "source": lines, "execution_count": count, "outputs": outputs}

    title = {"cell_type": "markdown", "metadata": {}, "source": ["# When are bicycles rented?"]}
    read = code("import csv\nrows = list(csv.DictReader(open('rentals.csv')))\nprint(len(rows))", "17379\n", 1)
    fit = code("rate = 0.05\nprint(fit(rows, rate))", "0.412\n", 2)
    metadata = {"language_info": {"name": "python"}}
    notebook = {"cells": [title, read, fit], "metadata": metadata, "nbformat": 4, "nbformat_minor": 4}
    (home / "explore.ipynb").write_text(json.dumps(notebook, indent=1))


def base_image(home: Path) -> None:
    """An image to build on."""
    write_base(home / "python", tiny_members())


BEFORE = {
    "deploy.md": base_image,
    "environments.md": folder_of_wheels,
    "from-dvc.md": dvc_project,
    "notebooks.md": small_notebook,
}


@pytest.mark.parametrize(
    "page", [page for page in PAGES if console(page)], ids=lambda page: str(page.relative_to(ROOT))
)
def test_commands_run_as_shown(page: Path, tmp_path: Path, request: pytest.FixtureRequest):
    home = tmp_path / "home"
    home.mkdir()
    BEFORE.get(page.name, lambda _: None)(home)
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "GIT_CONFIG_NOSYSTEM": "1",
    }
    if page.name != "index.md":
        environment |= {"DSVC_USER_NAME": "Ada Keller", "DSVC_USER_EMAIL": "ada@example.com"}
    if page.name in SERVED:
        more = SERVED[page.name](home, request)
        environment |= {**more, "PATH": more.get("PATH", "") + environment["PATH"]}
    shown = console(page)
    if shutil.which("ssh-keygen") is None and any("ssh-keygen" in one.command for one in shown):
        pytest.skip("needs ssh-keygen")
    script = tmp_path / "script"
    script.write_text("exec 2>&1\n" + "".join(f"{one.command}\nprintf '{END}%d{END}' $?\n" for one in shown))
    done = subprocess.run(
        ["bash", script], cwd=home, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False
    )
    answers = done.stdout.decode().split(END)[:-1]
    assert len(answers) == 2 * len(shown), done.stdout
    for one, output, code in zip(shown, answers[::2], answers[1::2], strict=True):
        assert int(code) == one.code, f"$ {one.command}\n{output}"
        written = iter(normal(output, home).splitlines())
        for line in normal("\n".join(one.lines), home).splitlines():
            assert any(is_shown(line, candidate) for candidate in written), (
                f"$ {one.command}\n{output}\nis shown with a line that is not there, or not in this place:\n{line}"
            )


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path):
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{page.name} links to {target}"
        assert not anchor or anchor in anchors(there), f"{page.name} links to {target}"


def test_every_page_is_linked_from_another():
    linked = {
        (page.parent / target.partition("#")[0]).resolve()
        for page in PAGES
        for target in re.findall(r"\]\(([^)\s:]+)\)", page.read_text())
        if not target.startswith("#")
    }
    for page in DOCS.rglob("*.md"):
        assert page.resolve() in linked, f"no page links to {page.relative_to(ROOT)}"


def test_the_readme_names_the_two_commands_and_leads_to_every_guide():
    readme, makefile = (ROOT / "README.md").read_text(), (ROOT / "Makefile").read_text()
    commands = set(re.findall(r"^    make (\w+)", readme, re.MULTILINE))
    assert commands == {"demo", "test"}
    assert commands <= set(re.findall(r"^(\w+):", makefile, re.MULTILINE))
    linked = set(re.findall(r"\(docs/guides/([\w-]+)[.]md", readme))
    assert linked == {page.stem for page in (DOCS / "guides").glob("*.md")}


def test_design_records_are_numbered_and_listed():
    folder = DOCS / "design"
    contents = (folder / "README.md").read_text()
    numbers = []
    for record in sorted(folder.glob("[0-9]*.md")):
        number = int(record.name[:4])
        numbers.append(number)
        title = record.read_text().splitlines()[0]
        assert title.startswith(f"# {number}. "), record.name
        assert f"[{title[2:]}]({record.name})" in contents, f"docs/design/README.md lacks {record.name}"
    assert numbers == sorted(set(numbers)), "a number stands for one record; one may still be missing"


def test_the_glossary_is_in_order():
    rows = re.findall(r"^\| (.+?) \|", (ROOT / "docs" / "glossary.md").read_text(), re.MULTILINE)[2:]
    assert rows == sorted(rows, key=lambda term: (term.lower(), term))
