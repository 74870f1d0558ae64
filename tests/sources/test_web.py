"""Files on a web server, also on one that breaks off, changes its mind, or knows nothing of ranges."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dsvc.sources import SourceChangedError, SourceError, SourceMissingError, Sources, parse_source
from dsvc.sources.reading import Stream
from tests.servers.web import Web

DATA = os.urandom(5_000_000)


def fetched(web: Web, path: str = "/data.bin") -> bytes:
    sources = Sources({})
    found = sources.stat(web.url + path)
    return Stream(sources.of(parse_source(found.address)), found, sleep=lambda _: None).read(1 << 30)


def test_content_size_and_etag(web: Web):
    web.files["/data.bin"] = DATA
    found = Sources({}).stat(f"{web.url}/data.bin")
    assert found.size == len(DATA)
    assert found.etag.startswith('"')
    assert fetched(web) == DATA


def test_goes_on_where_it_broke_off(web: Web):
    web.files["/data.bin"] = DATA
    web.break_after = [1_000_000, 0, 2_500_000]
    assert fetched(web) == DATA
    ranges = [wanted for method, _, wanted in web.requests if method == "GET"]
    assert len(ranges) == 4
    assert ranges[0] is None
    assert all(wanted is not None for wanted in ranges[2:])


def test_goes_on_at_a_server_without_ranges(web: Web):
    web.files["/data.bin"] = DATA
    web.ranges = False
    web.break_after = [3_000_000]
    assert fetched(web) == DATA


def test_another_content_is_never_joined_to_the_first_part(web: Web):
    web.files["/data.bin"] = DATA
    web.break_after = [1_000_000]
    web.change_after = ("/data.bin", os.urandom(len(DATA)))
    with pytest.raises(SourceChangedError, match="changed"):
        fetched(web)


def test_without_anything_that_tells_versions_apart_it_does_not_go_on(web: Web):
    web.files["/data.bin"] = DATA
    web.etags = web.modified = False
    assert fetched(web) == DATA
    web.break_after = [1_000_000]
    with pytest.raises(SourceError, match="broke off"):
        fetched(web)


def test_last_modified_stands_for_a_missing_etag(web: Web):
    web.files["/data.bin"] = DATA
    web.etags = False
    assert Sources({}).stat(f"{web.url}/data.bin").etag == "modified:Sat, 31 Jan 2026 12:00:00 GMT"
    web.break_after = [1_000_000]
    assert fetched(web) == DATA


def test_a_server_that_breaks_off_again_and_again(web: Web):
    web.files["/data.bin"] = DATA
    web.break_after = [0] * 20
    with pytest.raises(SourceError, match="broke after 0 of"):
        fetched(web)


def test_a_busy_server_is_asked_again(web: Web):
    web.files["/data.bin"] = DATA
    sources = Sources({})
    found = sources.stat(f"{web.url}/data.bin")
    web.busy = 3
    stream = Stream(sources.of(parse_source(found.address)), found, sleep=lambda _: None)
    assert stream.read(1 << 30) == DATA


def test_a_server_that_does_not_know_head(web: Web):
    web.files["/data.bin"] = DATA
    web.head = False
    assert Sources({}).stat(f"{web.url}/data.bin").size == len(DATA)


def test_nothing_there(web: Web):
    with pytest.raises(SourceMissingError, match="nothing at"):
        fetched(web, "/other")


def test_passwords_come_from_netrc(web: Web, tmp_path: Path):
    web.files["/data.bin"] = DATA
    web.password = "Basic YWRhOnNlY3JldA=="
    with pytest.raises(SourceError, match="denied"):
        Sources({"HOME": str(tmp_path)}).stat(f"{web.url}/data.bin")
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login ada password secret\n")
    (tmp_path / ".netrc").chmod(0o600)
    assert Sources({"HOME": str(tmp_path)}).stat(f"{web.url}/data.bin").size == len(DATA)


def test_redirects_keep_the_range_and_give_no_password_to_others(web: Web, tmp_path: Path):
    web.files["/data.bin"] = DATA
    web.redirects["/moved"] = f"http://localhost:{web.url.rpartition(':')[2]}/data.bin"
    web.break_after = [1_000_000]
    assert fetched(web, "/moved") == DATA
    assert ("GET", "/data.bin", None) in web.requests
    assert any(path == "/data.bin" and wanted for _, path, wanted in web.requests)
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login ada password secret\n")
    web.password = "Basic YWRhOnNlY3JldA=="
    with pytest.raises(SourceError, match="denied"):  # what it redirects to did not get it
        Sources({"HOME": str(tmp_path)}).stat(f"{web.url}/moved")


def test_nobody_answers():
    with pytest.raises(SourceError, match="cannot be reached"):
        Sources({}).stat("http://127.0.0.1:1/x")
