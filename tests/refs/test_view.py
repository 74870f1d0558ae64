"""A view holds all refs of one moment."""

import pytest

from dsvc.objects import codec
from dsvc.objects.codec import BadEncodingError
from dsvc.objects.ids import Kind
from dsvc.objects.sortedmap import decode_node
from dsvc.refs.view import VIEWS, Direct, Symbolic, View


def test_refs_come_back_in_order_of_names(repository, point):
    refs = {"heads/b": point(1), "heads/a": point(2), "heads/a/x": point(3), "tags/\u00e9": Symbolic("heads/a")}
    view = View.empty(repository.store).changed(refs)
    assert list(view.items()) == sorted(refs.items(), key=lambda item: item[0].encode())
    assert dict(view.items("heads/")) == {k: v for k, v in refs.items() if k.startswith("heads/")}
    assert view.get("heads/a") == point(2)
    assert view.get("heads") is None


def test_a_view_does_not_change(repository, point):
    view = View.empty(repository.store).changed({"heads/a": point(1)})
    newer = view.changed({"heads/a": None, "heads/b": point(2)})
    assert dict(view.items()) == {"heads/a": point(1)}
    assert dict(newer.items()) == {"heads/b": point(2)}
    assert list(view.differences(newer)) == [("heads/a", point(1), None), ("heads/b", None, point(2))]
    assert newer.changed({"heads/b": None}) == View.empty(repository.store)


def test_tips_are_all_but_what_is_made_once(repository, point):
    names = ["heads/a", "heads/z", "models/m", "purged/x", "purgee", "runs/1", "runs/2/note", "seen/o/m", "tags/t"]
    view = View.empty(repository.store).changed({name: point(1) for name in names} | {"heads/b": Symbolic("heads/a")})
    assert [name for name, _ in view.tips()] == ["heads/a", "heads/z", "models/m", "purgee", "seen/o/m", "tags/t"]
    assert list(View.empty(repository.store).tips()) == []


def test_symbolic_refs_are_followed(repository, point):
    view = View.empty(repository.store).changed(
        {
            "worktrees/one/HEAD": Symbolic("heads/main"),
            "heads/main": point(1),
            "worktrees/two/HEAD": Symbolic("heads/unborn"),
            "tags/t": Direct(Kind.TAG, b"\5" * 32),
        }
    )
    assert view.resolve("worktrees/one/HEAD") == ("heads/main", point(1))
    assert view.commit("worktrees/one/HEAD") == point(1).id
    assert view.resolve("worktrees/two/HEAD") == ("heads/unborn", None)
    assert view.commit("worktrees/two/HEAD") is view.commit("nowhere") is view.commit("tags/t") is None


def test_a_circle_of_names_is_an_error(repository):
    view = View.empty(repository.store).changed({"heads/a": Symbolic("heads/b"), "heads/b": Symbolic("heads/a")})
    with pytest.raises(BadEncodingError, match="circle"):
        view.resolve("heads/a")


@pytest.mark.parametrize(
    "value",
    [
        [1, 5, bytes(31)],
        [1, 5, "x" * 32],
        [1, 0, bytes(32)],
        [1, 12, bytes(32)],
        [True, 5, bytes(32)],
        [1.0, 5, bytes(32)],
        [1, True, bytes(32)],
        [1, 5, bytes(32), 0],
        [2, b"heads/a"],
        [2.0, "heads/a"],
        [3, "heads/a"],
        [2],
        [],
        None,
        "heads/a",
    ],
)
def test_a_ref_of_another_form_is_refused(value):
    with pytest.raises(BadEncodingError):
        decode_node(VIEWS, codec.encode_plain([0, b"heads/x", value]))


def test_a_name_that_is_no_text_is_refused():
    with pytest.raises(BadEncodingError, match="UTF-8"):
        decode_node(VIEWS, codec.encode_plain([0, b"heads/\xff", [2, "heads/a"]]))


def test_a_hundred_thousand_refs_cost_what_changes(repository, point):
    view = View.empty(repository.store).changed({f"runs/{n:06}": point(n % 200) for n in range(100_000)})
    written = []
    put = repository.store.put
    repository.store.put = lambda kind, payload: written.append(len(payload)) or put(kind, payload)
    newer = view.changed({"runs/054321": point(7), "runs/new": point(8)})
    assert sum(written) < 200_000
    assert [name for name, _, _ in view.differences(newer)] == ["runs/054321", "runs/new"]
