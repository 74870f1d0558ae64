"""Which paths the patterns of a partial working copy take in."""

from __future__ import annotations

import pytest

from dsvc.worktree.sparse import BadPatternError, Sparse

PATHS = [b"README", b"src/a.py", b"src/deep/b.py", b"data/index.csv", b"data/raw/1.png", b"data/raw/x/2.png"]


def taken(*patterns: bytes) -> list[bytes]:
    sparse = Sparse(patterns)
    return [path for path in PATHS if sparse.includes(path)]


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ([b"src"], [b"README", b"src/a.py", b"src/deep/b.py"]),
        ([b"/src/deep/"], [b"README", b"src/a.py", b"src/deep/b.py"]),
        ([b"data/raw/x"], [b"README", b"data/index.csv", b"data/raw/1.png", b"data/raw/x/2.png"]),
        ([b"*.py"], [b"src/a.py", b"src/deep/b.py"]),
        ([b"data", b"!*.png"], [b"README", b"data/index.csv"]),
        ([b"!data/raw/"], [b"README", b"src/a.py", b"src/deep/b.py", b"data/index.csv"]),
        ([b"!*.png", b"x/*"], [b"README", b"src/a.py", b"src/deep/b.py", b"data/index.csv"]),
        ([b"!*.png", b"data/raw/x/*"], [*PATHS[:4], b"data/raw/x/2.png"]),
        ([b"src", b"data/**/1.png"], [b"README", b"src/a.py", b"src/deep/b.py", b"data/raw/1.png"]),
    ],
)
def test_patterns(patterns, expected):
    assert taken(*patterns) == expected


@pytest.mark.parametrize("pattern", [b"../x", b".", b"a/../b"])
def test_what_leads_nowhere_is_refused(pattern):
    with pytest.raises(BadPatternError):
        Sparse([pattern])
