"""Which place an address names, and which texts are none."""

from pathlib import Path

import pytest

from dsvc.remotes.address import BadAddressError, FolderAddress, S3Address, SshAddress, common_address, parse_address

HERE = Path("/home/ada/project")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("/srv/x", FolderAddress(Path("/srv/x"))),
        ("../hub", FolderAddress(Path("/home/ada/hub"))),
        ("hub", FolderAddress(HERE / "hub")),
        ("./a:b", FolderAddress(HERE / "a:b")),
        ("/a:b", FolderAddress(Path("/a:b"))),
        ("file:///srv/a%20b", FolderAddress(Path("/srv/a b"))),
        ("file://localhost/srv", FolderAddress(Path("/srv"))),
        ("FILE:///srv/x/../y", FolderAddress(Path("/srv/y"))),
        ("ssh://ada@host:2222/srv/x", SshAddress("ada", "host", 2222, "/srv/x")),
        ("ssh://host/~/x", SshAddress(None, "host", None, "x")),
        ("ssh://[::1]/x", SshAddress(None, "::1", None, "/x")),
        ("host:x/y", SshAddress(None, "host", None, "x/y")),
        ("ada@host:/srv/x", SshAddress("ada", "host", None, "/srv/x")),
        ("[::1]:x", SshAddress(None, "::1", None, "x")),
        ("host:~/x", SshAddress(None, "host", None, "x")),
        ("s3://bucket", S3Address("bucket", "")),
        ("s3://bucket/a/b/", S3Address("bucket", "a/b")),
    ],
)
def test_places(text, address):
    assert parse_address(text, directory=HERE) == address
    assert parse_address(str(address), directory=HERE) == address, "what is shown can be typed"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("file:///srv/x", "/srv/x/", True),
        ("ada@host:/srv/x", "ssh://bo@host:22/srv/x", True),
        ("ada@host:x", "bo@host:x", False),
        ("ssh://host:2222/srv/x", "ssh://host/srv/x", False),
        ("s3://bucket/x/", "s3://bucket/x", True),
    ],
)
def test_what_everybody_calls_a_place(one, other, same):
    found = {common_address(parse_address(text, directory=HERE)) for text in (one, other)}
    assert (len(found) == 1) == same


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\0",
        "a\nb",
        "x\x1b[31m",
        "http://host/x",
        "ext::sh -c evil% x://",
        "file://host/share",
        "file:relative://",
        "ssh://",
        "ssh:///srv",
        "ssh://host",
        "ssh://host/",
        "ssh://host:port/x",
        "ssh://host:99999/x",
        "ssh://-oProxyCommand=evil/x",
        "-oProxyCommand=evil:x",
        "ssh://ada:secret@host/x",
        "s3://",
        "s3:///key",
        "s3://-x/key",
        "s3://a b/key",
    ],
)
def test_texts_that_are_no_address(text):
    with pytest.raises(BadAddressError) as caught:
        parse_address(text, directory=HERE)
    assert "secret" not in caught.value.message
    assert "\x1b" not in caught.value.message


def test_a_folder_with_a_colon_in_its_name(tmp_path):
    (tmp_path / "host:x").mkdir()
    assert parse_address("host:x", directory=tmp_path) == FolderAddress(tmp_path / "host:x")
