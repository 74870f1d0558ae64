"""`dsvc cat`: contents byte for byte."""

from __future__ import annotations

import random


def test_a_file_of_any_commit(history) -> None:
    data = random.Random(1).randbytes(700_000)
    history.commit("one", {"a": "old\n", "data.bin": data})
    history.commit("two", {"a": "new"})
    history.write({"a": "not committed"})
    assert history.cli.ok("cat", "a").out == "new"
    assert history.cli.ok("cat", "HEAD~1:a", "a").out == "old\nnew"
    assert history.cli.ok("cat", "HEAD:data.bin").raw == data
    file_id = history.cli.ok("cat", "--json", "data.bin").json["files"][0]["id"]
    assert history.cli.ok("cat", file_id[:12]).raw == data


def test_what_has_no_content(history) -> None:
    history.commit("one", {"src/a": "a"})
    answer = history.cli("cat", "src")
    assert (answer.code, answer.err) == (3, "dsvc: src is a folder\nhint: dsvc ls src\n")
    assert history.cli("cat", "HEAD").code == 3
    assert "there is no b in HEAD" in history.cli("cat", "b").err
