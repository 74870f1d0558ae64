"""Which refs go where."""

import pytest

from dsvc.errors import UsageError
from dsvc.remotes.refspec import fetch_refspecs, mapped, parse_refspec


@pytest.mark.parametrize(
    ("text", "name", "target"),
    [
        ("main", "heads/main", "heads/main"),
        ("refs/heads/main", "heads/main", "heads/main"),
        ("tags/v1", "tags/v1", "tags/v1"),
        ("main:other", "heads/main", "heads/other"),
        ("main:remotes/x/main", "heads/main", "remotes/x/main"),
        ("heads/*:remotes/x/*", "heads/a/b", "remotes/x/a/b"),
        ("heads/*-v1:heads/old/*", "heads/a-v1", "heads/old/a"),
        ("main", "heads/mainly", None),
        ("heads/a*a:heads/*", "heads/a", None),
        ("heads/*", "tags/v1", None),
    ],
)
def test_mapping(text, name, target):
    spec = parse_refspec(text)
    assert spec.maps(name) == target
    assert parse_refspec(str(spec)) == spec


def test_force_and_deletion():
    assert parse_refspec("+main:x").force
    assert parse_refspec(":gone").source == ""
    assert mapped(fetch_refspecs("origin"), "heads/main") == ("remotes/origin/main", True)
    assert mapped(fetch_refspecs("origin"), "tags/v1") is None


@pytest.mark.parametrize("text", ["", ":", "+", "a*:b", "a:b*", "*:*:*", "a**:b*", ":a*", "a b", "a..b", "x:a~1"])
def test_texts_that_are_no_refspec(text):
    with pytest.raises(UsageError):
        parse_refspec(text)
