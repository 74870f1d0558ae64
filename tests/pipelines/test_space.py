"""What a sweep tries."""

from __future__ import annotations

import pytest

from dsvc.errors import UsageError
from dsvc.pipelines.space import Choice, Range, at_random, filled, grid, parse_space


def test_forms():
    assert parse_space(["lr=0.1,1e-3", "n=2..4", "x=0.5..1.5", "y=log:1e-4..0.1", "opt=adam,sgd", "one=7"]) == {
        "lr": Choice((0.1, 1e-3)),
        "n": Range(2, 4, is_whole=True),
        "x": Range(0.5, 1.5),
        "y": Range(1e-4, 0.1, is_log=True),
        "opt": Choice(("adam", "sgd")),
        "one": Choice((7,)),
    }


@pytest.mark.parametrize("text", ["lr", "=1", "lr=", "n=4..2", "y=log:0..1", "z=a..b"])
def test_what_is_refused(text):
    with pytest.raises(UsageError):
        parse_space([text])


def test_the_grid_is_every_combination():
    space = parse_space(["a=1..3", "b=x,y"])
    assert list(grid(space)) == [{"a": a, "b": b} for a in (1, 2, 3) for b in "xy"]
    with pytest.raises(UsageError, match="endless"):
        list(grid(parse_space(["a=0.1..0.2"])))


def test_random_trials_stay_inside_and_come_again():
    space = parse_space(["a=1..3", "b=0.5..2.5", "c=log:1e-3..10.0", "d=p,q"])
    first, again = list(at_random(space, 300, seed=5)), list(at_random(space, 300, seed=5))
    assert first == again
    assert first != list(at_random(space, 300, seed=6))
    assert {trial["a"] for trial in first} == {1, 2, 3}
    assert {trial["d"] for trial in first} == {"p", "q"}
    assert all(0.5 <= trial["b"] <= 2.5 and 1e-3 <= trial["c"] <= 10 for trial in first)
    small = sum(trial["c"] < 0.1 for trial in first)
    assert 100 < small < 200, "half of the orders of magnitude lie below"


def test_values_in_a_command():
    assert filled(["fit", "--rate={lr}", "{n}-{n}"], {"lr": 0.1, "n": 3}) == ["fit", "--rate=0.1", "3-3"]
    assert filled(["fit"], {"lr": 1e-05, "name": "x y"}) == ["fit", "--lr", "1e-05", "--name", "x y"]
