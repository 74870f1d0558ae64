"""Commits, tags and operations have one encoding each; anything else is refused."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsvc.objects import codec
from dsvc.objects.codec import BadEncodingError
from dsvc.objects.ids import CONTEXTS, BadIdError, Kind, content_id, object_id, parse_id
from dsvc.objects.values import (
    Commit,
    Operation,
    Person,
    Tag,
    decode_commit,
    decode_operation,
    decode_tag,
    encode_commit,
    encode_operation,
    encode_tag,
    unsigned,
)

ADA = Person("Ada", "ada@example.org", 1_700_000_000_000_000, 60)
COMMIT = Commit(tree=bytes(32), parents=(b"\1" * 32,), author=ADA, committer=ADA, message="first")
TAG = Tag(target=bytes(32), target_kind=Kind.COMMIT, name="v1", tagger=ADA, message="")
OPERATION = Operation(
    view=bytes(32),
    parents=(),
    time=1,
    zone=0,
    user="ada",
    host="box",
    worktree="main",
    verb="commit",
    description="first",
)
FORMS = [
    (COMMIT, encode_commit, decode_commit),
    (TAG, encode_tag, decode_tag),
    (OPERATION, encode_operation, decode_operation),
]

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ids = st.binary(min_size=32, max_size=32)
people = st.builds(Person, texts, texts, st.integers(), st.integers(-1440, 1440))
metadata = st.dictionaries(
    texts, st.integers() | texts | st.binary() | st.floats(allow_nan=False) | st.lists(texts).map(tuple), max_size=4
)
commits = st.builds(
    Commit,
    tree=ids,
    parents=st.lists(ids, max_size=3).map(tuple),
    author=people,
    committer=people,
    message=texts,
    environment=st.none() | ids,
    runs=st.lists(ids, max_size=3).map(tuple),
    metadata=metadata,
    signature=st.none() | st.binary(),
)
tags = st.builds(
    Tag,
    target=ids,
    target_kind=st.sampled_from(Kind),
    name=texts,
    tagger=st.none() | people,
    message=texts,
    metadata=metadata,
    signature=st.none() | st.binary(),
)
operations = st.builds(
    Operation,
    view=ids,
    parents=st.lists(ids, max_size=3).map(tuple),
    time=st.integers(),
    zone=st.integers(-1440, 1440),
    user=texts,
    host=texts,
    worktree=texts,
    verb=texts,
    description=texts,
    command=st.lists(texts, max_size=4).map(tuple),
    reverts=st.none() | ids,
    metadata=metadata,
)


@settings(deadline=None)
@given(commits)
def test_a_commit_comes_back(commit):
    assert decode_commit(encode_commit(commit)) == commit


@settings(deadline=None)
@given(tags)
def test_a_tag_comes_back(tag):
    assert decode_tag(encode_tag(tag)) == tag


@settings(deadline=None)
@given(operations)
def test_an_operation_comes_back(operation):
    assert decode_operation(encode_operation(operation)) == operation


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(FORMS), st.data())
def test_changed_bytes_are_refused_or_the_encoding_of_another_value(form, data):
    value, encode, decode = form
    payload = bytearray(encode(value))
    for _ in range(data.draw(st.integers(1, 2))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    try:
        again = decode(bytes(payload))
    except BadEncodingError:
        return
    assert encode(again) == payload


def broken():
    """Every field of every form gone, empty, or of another type; a field too many."""
    for value, encode, decode in FORMS:
        fields = codec.decode(encode(value))
        for name in fields:
            for wrong in (None, 1.5, True, "text", b"bytes", b"\0" * 32, (), (1,), (b"short",), ("a", "b", 1), {}, 99):
                if fields[name] != wrong and (type(fields[name]) is not type(wrong) or isinstance(wrong, tuple)):
                    yield decode, fields | {name: wrong}
            if name != "tagger":
                yield decode, {k: v for k, v in fields.items() if k != name}
        for name in ("signature", "metadata", "environment", "runs", "command", "reverts", "tagger", "future"):
            if name not in fields:
                for wrong in (None, (), {}, 1, ""):
                    yield decode, fields | {name: wrong}
        yield decode, [list(fields)]


def test_a_form_with_a_wrong_missing_empty_or_unknown_field_is_refused():
    accepted = []
    for decode, fields in broken():
        try:
            decode(codec.encode(fields))
        except BadEncodingError:
            continue
        accepted.append(fields)
    assert accepted == [codec.decode(encode_commit(COMMIT)) | {"parents": ()}]  # a first commit


def test_the_signature_covers_everything_else_and_counts_in_the_id():
    signed = replace(COMMIT, signature=b"sig")
    assert encode_commit(signed, signed=False) == encode_commit(COMMIT) == encode_commit(unsigned(signed))
    assert object_id(Kind.COMMIT, encode_commit(signed)) != object_id(Kind.COMMIT, encode_commit(COMMIT))
    assert encode_tag(replace(TAG, signature=b"sig"), signed=False) == encode_tag(TAG)


def test_optional_fields_that_are_empty_are_left_out():
    assert set(codec.decode(encode_commit(COMMIT))) == {"tree", "parents", "author", "committer", "message"}
    assert set(codec.decode(encode_tag(replace(TAG, tagger=None)))) == {"target", "kind", "name", "message"}


def test_a_tag_of_an_unknown_kind_is_refused():
    fields = codec.decode(encode_tag(TAG))
    for kind in (0, 12, 255, -1):
        with pytest.raises(BadEncodingError):
            decode_tag(codec.encode(fields | {"kind": kind}))


def test_no_object_of_one_kind_has_the_id_of_another():
    payload = encode_commit(COMMIT)
    kinds = [Kind.CHUNK, *CONTEXTS]
    assert len({object_id(kind, payload) for kind in kinds}) == len(kinds) == len(Kind) - 1
    assert object_id(Kind.CHUNK, payload) == content_id(payload)
    assert CONTEXTS[Kind.MAP_PAGE] == "dsvc map page v1"


@pytest.mark.parametrize("text", ["", "ab", "g" * 64, "0" * 63, "0" * 65, " " + "0" * 63, "0 " * 32])
def test_a_text_that_is_no_id_is_refused(text):
    with pytest.raises(BadIdError):
        parse_id(text)


def test_ids_are_written_as_hexadecimal_digits():
    assert parse_id(content_id(b"x").hex()) == content_id(b"x")
