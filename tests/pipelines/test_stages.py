"""`dsvc.toml`: which stages there are, in which order, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsvc.errors import RequestError
from dsvc.pipelines.order import needs, wanted
from dsvc.pipelines.stages import BadPipelineError, Stage, read_stages


def stages(tmp_path: Path, text: str) -> list[Stage]:
    (tmp_path / "dsvc.toml").write_text(text)
    return read_stages(tmp_path)


def test_a_stage_with_everything(tmp_path):
    (stage,) = stages(
        tmp_path,
        """
        [stages.train]
        cmd = "python train.py"
        wdir = "src"
        deps = ["./data/", "src/train.py"]
        outs = ["model"]
        params = ["lr", "conf/net.toml:net.layers"]
        metrics = ["metrics.json"]
        desc = "train it"
        """,
    )
    assert stage == Stage(
        "train",
        "python train.py",
        "src",
        ("data", "src/train.py"),
        ("model",),
        (("", "lr"), ("conf/net.toml", "net.layers")),
        ("metrics.json",),
        "train it",
    )
    assert stage.written == ("model", "metrics.json")


def test_a_stage_for_each(tmp_path):
    found = stages(
        tmp_path,
        """
        [stages.a]
        cmd = "echo ${item} > out-${item} # ${key}"
        outs = ["out-${item}"]
        foreach = ["x", 2]
        [stages.b]
        cmd = "fit --lr ${item.lr} --out ${key}"
        outs = ["${item.name}"]
        [stages.b.foreach]
        slow = {lr = 0.1, name = "s"}
        """,
    )
    assert [(stage.name, stage.cmd, stage.outs) for stage in found] == [
        ("a@x", "echo x > out-x # ${key}", ("out-x",)),
        ("a@2", "echo 2 > out-2 # ${key}", ("out-2",)),
        ("b@slow", "fit --lr 0.1 --out slow", ("s",)),
    ]


BAD = {
    "a = ": "Invalid value",
    "stages = 1": "not a table",
    "[stages.x]": "no 'cmd'",
    '[stages.x]\ncmd = ""': "no 'cmd'",
    '[stages.x]\ncmd = "a"\ndep = []': "unknown key 'dep'",
    '[stages.x]\ncmd = "a"\ndeps = "data"': "not a list",
    '[stages.x]\ncmd = "a"\ndeps = ["../secret"]': "outside",
    '[stages.x]\ncmd = "a"\nouts = ["/etc/passwd"]': "outside",
    '[stages.x]\ncmd = "a"\nwdir = ["b"]': "not a text",
    '[stages.x]\ncmd = "${item}"\nforeach = [["a"]]': "stands for nothing",
    '[stages.x]\ncmd = "${item.lr}"\nforeach = ["a"]': "stands for nothing",
    '[stages.x]\ncmd = "a"\nforeach = "b"': "neither a list nor a table",
    '[stages."x/y"]\ncmd = "a"': "not a valid name",
    '[stages.x]\ncmd = "a"\nouts = ["o-{item}"]\nforeach = [1, 2]': "item} in it would stand for",
    '[stages.x]\ncmd = "a"\nouts = ["o"]\n[stages.y]\ncmd = "b"\nouts = ["./o"]': "both write o",
}


@pytest.mark.parametrize(("text", "said"), BAD.items(), ids=range(len(BAD)))
def test_what_is_refused(tmp_path, text, said):
    with pytest.raises(BadPipelineError, match=said):
        stages(tmp_path, text)


def test_there_is_none(tmp_path):
    with pytest.raises(RequestError, match=r"no dsvc\.toml"):
        read_stages(tmp_path)


def made(name: str, deps: str = "", outs: str = "") -> Stage:
    return Stage(name, "true", deps=tuple(deps.split()), outs=tuple(outs.split()))


def test_folders_and_files_in_them_belong_together():
    last = made("d", "x m")
    graph = needs([made("a", outs="data"), made("b", "data/train.csv", "m"), made("c", "m data2", "x"), last])
    assert graph == {"a": set(), "b": {"a"}, "c": {"b"}, "d": {"b", "c"}}
    assert wanted(["c"], graph) == {"a", "b", "c"}
    assert wanted([], graph) == {"a", "b", "c", "d"}


def test_a_name_stands_for_each_of_its_stages():
    graph = needs([made("t@a", outs="a"), made("t@b", outs="b"), made("u", outs="c")])
    assert wanted(["t"], graph) == {"t@a", "t@b"}
    with pytest.raises(BadPipelineError, match="no stage x"):
        wanted(["x"], graph)


def test_a_circle_is_refused():
    with pytest.raises(BadPipelineError, match="circle"):
        needs([made("a", "b", "a"), made("b", "a", "b")])
