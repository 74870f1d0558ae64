"""Cells in a bucket: one of several writers wins, also when answers are lost on the way."""

from __future__ import annotations

import threading

import pytest

from dsvc.errors import RemoteError
from dsvc.remotes.s3.cells import CellObject, DamagedCellObjectError, decode_cell
from dsvc.remotes.s3.errors import S3Error
from dsvc.storage.backend import SwapUncertainError
from tests.remotes.conftest import OpenBucket
from tests.servers.proxy import Answer, Proxy
from tests.servers.seaweed import Seaweed

BUSY = Answer(409, "ConditionalRequestConflict")


def writes(proxy: Proxy) -> int:
    return proxy.count("PUT", "/cells/head")


def test_a_swap_is_one_request_for_who_has_read_the_cell(opened: OpenBucket, proxy: Proxy):
    opened().swap_cell("head", None, b"0")
    backend = opened()
    assert backend.read_cell("head") == b"0"
    proxy.requests.clear()
    for number in range(5):
        assert backend.swap_cell("head", b"%d" % number, b"%d" % (number + 1))
    assert [one.method for one in proxy.requests] == ["PUT"] * 5


def test_small_writes_do_not_ask_first(opened: OpenBucket, proxy: Proxy):
    opened().put("packs/aa", b"x")
    assert proxy.count("PUT")
    assert not any("Expect" in one.headers for one in proxy.requests)


def test_whether_conditions_are_kept_is_tried_once_a_bucket(opened: OpenBucket, proxy: Proxy, bucket: str, seaweed):
    assert opened().swap_cell("head", None, b"0")
    assert proxy.count("PUT", "/cells/.probe") == 4
    assert [entry["Key"] for entry in seaweed.client().list_objects_v2(Bucket=bucket)["Contents"]] == [
        "project/cells/head"
    ]
    assert opened().swap_cell("head", b"0", b"1")
    assert proxy.count("PUT", "/cells/.probe") == 4


@pytest.mark.parametrize("harm", ["cut before", "cut after", "fail after", Answer(503, "SlowDown"), BUSY])
@pytest.mark.parametrize("first", [True, False])
def test_a_lost_answer_is_settled(opened: OpenBucket, proxy: Proxy, harm, first: bool):
    backend = opened()
    if not first:
        assert backend.swap_cell("head", None, b"before")
    proxy.harm(harm, "PUT", "/cells/head")
    assert backend.swap_cell("head", None if first else b"before", b"after")
    assert opened().read_cell("head") == b"after"
    assert not backend.swap_cell("head", b"before", b"again")


@pytest.mark.parametrize("steps", [1, 3, 70])
def test_a_lost_answer_is_settled_when_others_have_gone_on(opened: OpenBucket, proxy: Proxy, steps: int):
    backend, other = opened(), opened()
    assert backend.swap_cell("head", None, b"0")

    def others_go_on() -> None:
        value = other.read_cell("head")
        for number in range(steps):
            assert other.swap_cell("head", value, b"other %d" % number)
            value = b"other %d" % number

    proxy.harm("cut after", "PUT", "/cells/head")
    proxy.harm(others_go_on, "GET", "/cells/head")
    if steps < 64:
        assert backend.swap_cell("head", b"0", b"1"), "the tokens of the newest state tell that it took place"
    else:
        with pytest.raises(SwapUncertainError):
            backend.swap_cell("head", b"0", b"1")


def test_who_was_overtaken_while_the_connection_broke_has_lost(opened: OpenBucket, proxy: Proxy):
    backend, other = opened(), opened()
    assert backend.swap_cell("head", None, b"0")
    proxy.harm("cut before", "PUT", "/cells/head")
    proxy.harm(lambda: other.swap_cell("head", b"0", b"other"), "GET", "/cells/head")
    assert not backend.swap_cell("head", b"0", b"1")
    assert backend.read_cell("head") == b"other"


def test_without_any_answer_the_outcome_is_uncertain(opened: OpenBucket, proxy: Proxy):
    backend = opened(attempts=2)
    assert backend.swap_cell("head", None, b"0")
    proxy.harm("cut after", "", "/cells/head", times=100)
    with pytest.raises(SwapUncertainError, match="no answer says whether"):
        backend.swap_cell("head", b"0", b"1")
    proxy.heal()
    assert backend.read_cell("head") == b"1"


def test_an_error_that_was_answered_is_no_uncertainty(opened: OpenBucket, proxy: Proxy):
    backend = opened()
    assert backend.swap_cell("head", None, b"0")
    proxy.harm(Answer(403, "AccessDenied"), "PUT", "/cells/head")
    with pytest.raises(S3Error, match="access was denied"):
        backend.swap_cell("head", b"0", b"1")
    assert backend.read_cell("head") == b"0"
    assert writes(proxy) == 2


def test_a_value_that_comes_back_is_not_the_old_object(opened: OpenBucket, proxy: Proxy):
    backend, other = opened(), opened()
    assert backend.swap_cell("head", None, b"A")
    assert other.swap_cell("head", b"A", b"B")
    assert other.swap_cell("head", b"B", b"A")
    proxy.requests.clear()
    assert backend.swap_cell("head", b"A", b"C"), "the cell holds what is expected"
    assert [one.method for one in proxy.requests] == ["PUT", "GET", "PUT"], "the first write was refused"


def test_a_late_write_cannot_take_the_cell_back(opened: OpenBucket, proxy: Proxy, seaweed: Seaweed, bucket: str):
    backend = opened()
    assert backend.swap_cell("head", None, b"A")
    client = seaweed.client()
    first = client.get_object(Bucket=bucket, Key="project/cells/head")
    assert backend.swap_cell("head", b"A", b"B")
    assert backend.swap_cell("head", b"B", b"A")
    late = first["Body"].read()
    with pytest.raises(client.exceptions.ClientError, match="PreconditionFailed"):
        client.put_object(Bucket=bucket, Key="project/cells/head", Body=late, IfMatch=first["ETag"])


def test_writers_over_a_bad_line_lose_nothing(opened: OpenBucket, proxy: Proxy):
    opened().swap_cell("words", None, b"")
    proxy.harm("cut after", "PUT", "/cells/words", skip=3, times=3)
    proxy.harm("cut before", "PUT", "/cells/words", skip=11, times=3)
    proxy.harm("fail after", "PUT", "/cells/words", skip=20, times=3)
    failures: list[Exception] = []

    def write(name: str) -> None:
        backend = opened()
        try:
            for number in range(8):
                word = f"{name}{number} ".encode()
                while True:
                    value = backend.read_cell("words") or b""
                    if backend.swap_cell("words", value, value + word):
                        break
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcdef"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    words = (opened().read_cell("words") or b"").split()
    assert len(words) == len(set(words)) == 48


def test_a_damaged_cell_is_named(opened: OpenBucket, seaweed: Seaweed, bucket: str):
    opened().swap_cell("head", None, b"value")
    seaweed.client().put_object(Bucket=bucket, Key="project/cells/head", Body=b"something else")
    with pytest.raises(DamagedCellObjectError, match="cells/head is damaged"):
        opened().read_cell("head")


@pytest.mark.parametrize("value", [b"", b"x" * 1000])
@pytest.mark.parametrize("tokens", [(), (b"t" * 16,) * 64])
def test_a_cell_object_comes_back(value: bytes, tokens: tuple[bytes, ...]):
    cell = CellObject(value, tokens, b"m" * 16)
    assert decode_cell(cell.encode(), "head") == cell
    for place in (0, 33, 40, len(cell.encode()) - 1):
        broken = bytearray(cell.encode())
        broken[place] ^= 1
        with pytest.raises(DamagedCellObjectError):
            decode_cell(bytes(broken), "head")


def test_a_probe_whose_answer_is_lost_is_tried_anew(opened: OpenBucket, proxy: Proxy):
    proxy.harm("cut after", "PUT", "/cells/.probe")
    proxy.harm("fail after", "PUT", "/cells/.probe", skip=2)
    assert opened().conditional_writes().kept


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (
            Answer(501, "NotImplemented", "A header you provided implies functionality that is not implemented"),
            "refuses",
        ),
        (Answer(400, "InvalidArgument", "If-None-Match is not supported"), "refuses"),
    ],
)
def test_a_store_that_refuses_conditions_is_found_out(opened: OpenBucket, proxy: Proxy, answer: Answer, found: str):
    proxy.harm(answer, "PUT", "/cells/.probe")
    verdict = opened().conditional_writes()
    assert not verdict.kept
    assert found in verdict.found


def test_no_verdict_without_the_right_to_write(opened: OpenBucket, proxy: Proxy):
    proxy.harm(Answer(403, "AccessDenied"), "PUT")
    with pytest.raises(RemoteError, match="access was denied while trying conditional writes"):
        opened().conditional_writes()
