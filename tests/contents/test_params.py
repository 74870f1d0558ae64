from __future__ import annotations

import copy
import json
import random
import tomllib
from typing import Any

import pytest
import tomlkit
import yaml

from dsvc.contents import params
from dsvc.contents.driver import ContentMerge, MergeLabels, Settings, Source, UnfitError
from dsvc.contents.keyed import ABSENT, KeyMerge
from dsvc.contents.params import json_text, toml_text, yaml_text

YAML = """\
# training
train:
  # the rate
  lr: 0.1   # small
  epochs: 10

model:
  layers: [1, 2]
  name: resnet  # see the paper
notes: |
  first
  # no comment
  last
...
"""

JSON = '{\n  "a": 1,\n  "b": {\n    "c": 2,\n    "d": [1, 2]\n  },\n  "e": 5\n}\n'

TOML = '''\
# top
title = "x"

[train]
lr = 0.1 # rate
# how many
epochs = 10

[[data]]
name = "a"

[[data]]
name = "b"

[tool.x]
"odd = key" = """
multi
= line [ """
z.w = 1
'''


def merged(base: str | None, ours: str, theirs: str, name: str, **labels: Any) -> ContentMerge:
    sides = [Source.of(text.encode()) if text is not None else None for text in (base, ours, theirs)]
    assert sides[1] is not None
    assert sides[2] is not None
    return params.merge(sides[0], sides[1], sides[2], MergeLabels(**labels), Settings(name.encode()))


def text_of(merge: ContentMerge) -> str:
    assert merge.content is not None
    return b"".join(merge.content).decode()


def changed(text: str, *pairs: tuple[str, str]) -> str:
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return text


def test_yaml_keeps_comments_and_layout_of_both_sides() -> None:
    ours = changed(YAML, ("0.1", "0.2"), ("epochs: 10", "epochs: 20\n  # how long\n  warmup: 5"))
    pairs = ("resnet", "vit"), ("# the rate", "# learning rate"), ("epochs: 10", "epochs: 10\n  decay: 1")
    theirs = changed(YAML, *pairs)
    found = merged(YAML, ours, theirs, "p.yaml")
    expected = changed(
        YAML,
        ("0.1", "0.2"),
        ("# the rate", "# learning rate"),
        ("epochs: 10\n", "epochs: 20\n  # how long\n  warmup: 5\n  decay: 1\n"),
        ("resnet", "vit"),
    )
    assert (found.conflicts, text_of(found)) == (0, expected)


def test_conflicts_are_named_by_key_and_marked_in_the_text() -> None:
    ours = changed(YAML, ("0.1", "0.2"), ("  name: resnet  # see the paper\n", ""))
    theirs = changed(YAML, ("0.1", "0.3"), ("resnet", "vit"))
    found = merged(YAML, ours, theirs, "p.yaml")
    assert found.notes == (
        "train.lr (base 0.1, ours 0.2, theirs 0.3)",
        'model.name (base "resnet", ours none, theirs "vit")',
    )
    assert found.conflicts == 2
    assert "<<<<<<< ours\n  lr: 0.2   # small\n=======\n  lr: 0.3   # small\n>>>>>>> theirs\n  epochs" in text_of(found)
    assert text_of(merged(YAML, ours, theirs, "p.yaml", favor="theirs")) == theirs


def test_json_members_side_by_side_do_not_conflict() -> None:
    ours = changed(JSON, ('"a": 1', '"a": 2'), ('"e": 5', '"e": 6'))
    theirs = changed(JSON, ('"c": 2,', '"c": 3,\n    "n": null,'), ('"e": 5', '"e": 7'))
    found = merged(JSON, ours, theirs, "p.json", show_base=True)
    assert found.notes == ("e (base 5, ours 6, theirs 7)",)
    assert text_of(found).endswith(
        '  },\n<<<<<<< ours\n  "e": 6\n||||||| base\n  "e": 5\n=======\n  "e": 7\n>>>>>>> theirs\n}\n'
    )
    first_and_last = merged(JSON, changed(JSON, ('"a": 1,\n  ', "")), changed(JSON, (',\n  "e": 5', "")), "p.json")
    assert text_of(first_and_last) == '{\n  "b": {\n    "c": 2,\n    "d": [1, 2]\n  }\n}\n'
    assert text_of(merged('{"a":1,"b":2}', '{"a":2,"b":2}', '{"a":1,"b":3,"c":4}', "x.json")) == '{"a":2,"b":3,"c":4}'


def test_toml_tables_are_merged_key_by_key() -> None:
    ours = changed(TOML, ("0.1", "0.2"), ("z.w = 1", "z.w = 2"))
    pairs = ("epochs = 10", "epochs = 20"), ('name = "b"', 'name = "c"'), ("z.w = 1\n", "z.w = 3\nq = 1\n")
    theirs = changed(TOML, *pairs)
    found = merged(TOML, ours, theirs, "p.toml")
    assert found.notes == ("tool.x.z.w (base 1, ours 2, theirs 3)",)
    settled = tomllib.loads(text_of(merged(TOML, ours, theirs, "p.toml", favor="ours")))
    assert (settled["train"], settled["data"][1], settled["tool"]["x"]["q"]) == (
        {"lr": 0.2, "epochs": 20}, {"name": "c"}, 1,
    )  # fmt: skip


def value(rng: random.Random, depth: int) -> Any:
    if depth and rng.random() < 0.5:
        return {rng.choice("abcdefg") + rng.choice(["", " x", "_1"]): value(rng, depth - 1) for _ in range(3)}
    return rng.choice([1, 2.5, True, "text", "two\nlines", "# no comment", [1, 2], [], "<<<<", "a: b", "é", "1"])


def edit(found: Any, rng: random.Random) -> Any:
    found = copy.deepcopy(found)
    at = found
    while (inner := [item for item in at.values() if isinstance(item, dict) and item]) and rng.random() < 0.6:
        at = rng.choice(inner)
    key = rng.choice([*at, "new", "newer"])
    if key in at and rng.random() < 0.3 and len(at) > 1:
        del at[key]
    else:
        at[key] = value(rng, 1)
    return found


FORMS = {
    "json": (lambda found: json.dumps(found, indent=2, ensure_ascii=False) + "\n", json_text.values),
    "yaml": (lambda found: yaml.safe_dump(found, allow_unicode=True, sort_keys=False), yaml_text.values),
    "toml": (tomlkit.dumps, toml_text.values),
}


@pytest.mark.parametrize("form", FORMS)
def test_what_comes_out_are_the_merged_values(form: str) -> None:
    write, read = FORMS[form]
    done = conflicts = 0
    for seed in range(80):
        rng = random.Random(seed)
        base = {f"k{n}": value(rng, 2) for n in range(4)} | {"table": {"x": 1, "y": 2}}
        sides = [edit(edit(base, rng), rng), edit(edit(base, rng), rng)]
        texts = [write(side) for side in (base, *sides)]
        try:
            found = merged(texts[0], texts[1], texts[2], f"p.{form}", favor="ours")
            marked = merged(texts[0], texts[1], texts[2], f"p.{form}")
        except UnfitError:
            continue  # lines take over
        done += 1
        conflicts += bool(marked.conflicts)
        at: list[str] = []

        def settle(key: str, old: Any, mine: Any, other: Any, at: list[str] = at) -> Any:
            at.append(key)
            return mine

        expected = KeyMerge(settle).merge(*(read(text) for text in texts))
        if not any(isinstance(item, list) for side in sides for item in leaves(side)):  # lists may be merged by lines
            assert read(text_of(found)) == expected, seed
            assert len(marked.notes) >= marked.conflicts == len(at), seed
    assert done > 60
    assert conflicts > 6


def leaves(found: Any) -> list[Any]:
    return [leaf for item in found.values() for leaf in leaves(item)] if isinstance(found, dict) else [found]


def test_diff_names_keys_and_their_values() -> None:
    new = changed(YAML, ("0.1", "0.2"), ("  name: resnet", "  extra: {a: 1, b: x}\n  name: vit"), ("last", "final"))
    found = params.diff(Source.of(YAML.encode()), Source.of(new.encode()), Settings(b"p.yaml"))
    assert [line.text for line in found.lines] == [
        "train.lr: 0.1 -> 0.2",
        'model.name: "resnet" -> "vit"',
        "+model.extra.a: 1",
        '+model.extra.b: "x"',
        "notes:",
        "   first",
        "   # no comment",
        "  -last",
        "  +final",
    ]
    assert found.document["keys"][0] == {"key": "train.lr", "change": "changed", "old": 0.1, "new": 0.2}


def test_types_count_and_layout_does_not() -> None:
    def differs(old: str, new: str, name: bytes) -> list[str]:
        found = params.diff(Source.of(old.encode()), Source.of(new.encode()), Settings(name))
        return [line.text for line in found.lines]

    assert differs("a: 1\n", "a: 1.0\n", b"x.yaml") == ["a: 1 -> 1.0"]
    assert differs("a: true\n", 'a: "true"\n', b"x.yaml") == ['a: true -> "true"']
    assert differs('{"a": {"b": 1}}', '{\r\n "a": {"b":1} }', b"x.json") == []
    assert differs("[1,2,3,4]", "[1,3,4]", b"x.json") == ["-[1]: 2"]


BAD = {
    "x.json": ["", "{", '{"a": 1, "a": 2}', "// note\n{}", "\ufeff{}", "[" * 50_000],
    "x.yaml": ["a: [", "a: 1\n---\nb: 2\n", "a: 1\na: 2\n", "\tx: 1", "a: &a [*a]", "x: 1\n y: 2"],
    "x.toml": ["a =", "a = 1\na = 2", "[x]\n[x]"],
}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in BAD.items() for text in texts])
def test_what_cannot_be_read_is_refused_with_a_reason(name: str, text: str) -> None:
    good = {"x.json": "{}", "x.yaml": "a: 1\n", "x.toml": "a = 1\n"}[name]
    with pytest.raises((UnfitError, RecursionError)):
        params.diff(Source.of(good.encode()), Source.of(text.encode()), Settings(name.encode()))


def test_anchors_that_grow_are_refused() -> None:
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
    with pytest.raises(UnfitError, match="grow"):
        params.diff(Source.of(b"a: 1\n"), Source.of(bomb.encode()), Settings(b"x.yaml"))


def test_an_absent_value_says_what_it_is() -> None:
    assert repr(ABSENT) == "nothing"
