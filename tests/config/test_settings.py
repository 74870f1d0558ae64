"""Layers, types and damaged files of the settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsvc.config.keys import BadKeyError, join_key, known_keys, similar_key, split_key
from dsvc.config.settings import Config, ConfigFiles, DamagedConfigError, Origin, load_config, user_file
from dsvc.config.values import BadValueError, parse_size, typed


def config(tmp_path: Path, text: str, *overrides: str) -> Config:
    path = tmp_path / "config.toml"
    path.write_text(text)
    return load_config(ConfigFiles(repo=path), overrides)


def test_defaults_fit_their_types():
    empty = load_config(ConfigFiles())
    for key in known_keys():
        assert key.help.endswith(".")
        if key.default is not None:
            assert empty.get(key.name) == typed(key, key.default, origin="") == key.default
    assert empty.get_bool("core.gitignore") is True
    assert empty.get_size("commit.confirm") == 1 << 30
    assert empty.get_str("user.name") is None
    assert empty.origin("user.name") is None
    assert empty.origin("gc.graceDays") == Origin("default")


def test_types_are_lenient_where_the_meaning_is_clear(tmp_path):
    text = '[gc]\nauto = "no"\ngraceDays = "7"\n[commit]\nconfirm = "1.5 MiB"\n[x]\nlist = ["a", "b"]\nlevel = 4\n'
    found = config(tmp_path, text)
    assert found.get_bool("gc.auto") is False
    assert found.get_int("gc.graceDays") == 7
    assert found.get_size("commit.confirm") == 3 << 19
    assert found.get_list("x.list") == ("a", "b")
    assert found.get_int("x.level") == 4
    assert found.get_str("x.level") == "4"


def test_overrides(tmp_path):
    found = config(tmp_path, "[gc]\nauto = false\n", "gc.auto", "user.name=A=B")
    assert found.get_bool("gc.auto") is True
    assert found.get_str("user.name") == "A=B"
    with pytest.raises(BadKeyError):
        load_config(ConfigFiles(), ["nodots=1"])


def test_a_value_that_does_not_fit_names_its_file(tmp_path):
    with pytest.raises(BadValueError, match=r"gc.auto must be true or false, not 'maybe' \(file:.*config.toml\)"):
        config(tmp_path, '[gc]\nauto = "maybe"\n').get_bool("gc.auto")


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (b"[a\n", "at line 1, column 3"),
        (b"a = 1\nb = \n", "at line 2, column 5"),
        (b"[a]\nb = '\xff'\n", "at line 2, column 6"),
        (b"[a]\nb = 1\nb = 2\n", "at line 3, column 6"),
    ],
)
def test_damage_is_placed(tmp_path, data, place):
    path = tmp_path / "config.toml"
    path.write_bytes(data)
    with pytest.raises(DamagedConfigError) as caught:
        load_config(ConfigFiles(user=path))
    assert str(path) in caught.value.message
    assert place in caught.value.message
    assert caught.value.exit_code == 3


def test_a_folder_in_place_of_a_file_is_no_file(tmp_path):
    assert load_config(ConfigFiles(user=tmp_path)).layers == ()


@pytest.mark.parametrize("parts", [("user", "name"), ("remote", "a.b", "url"), ("alias", "st")])
def test_keys_are_spelled_and_split(parts):
    assert split_key(join_key(parts)) == parts


@pytest.mark.parametrize("key", ["", "a", ".a", "a.", "a..b", 'a."b', "a.b\n"])
def test_what_is_no_key(key):
    with pytest.raises(BadKeyError):
        split_key(key)


def test_similar_keys():
    assert similar_key("user.nmae") == "user.name"
    assert similar_key("GC.gracedays") == "gc.graceDays"
    assert similar_key("user.name") is None
    assert similar_key("alias.user") is None
    assert similar_key("mytool.level") is None


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("10", 10),
        ("64k", 65536),
        ("1GiB", 1 << 30),
        ("1.5 mib", 3 << 19),
        ("2GB", 2 * 10**9),
        ("3 B", 3),
        ("1 XiB", None),
        ("-1", None),
        ("", None),
        ("GiB", None),
    ],
)
def test_sizes(text, size):
    assert parse_size(text) == size


def test_user_file():
    assert user_file({"HOME": "/h"}) == Path("/h/.config/dsvc/config.toml")
    assert user_file({"HOME": "/h", "XDG_CONFIG_HOME": "/x"}) == Path("/x/dsvc/config.toml")
    assert user_file({"HOME": "/h", "XDG_CONFIG_HOME": "rel"}) == Path("/h/.config/dsvc/config.toml")
    assert user_file({}) is None
