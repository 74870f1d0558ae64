"""States of a small working copy, for tests of properties."""

from hypothesis import strategies as st

NAMES = ["a", "b", "a/x", "a/y", "a/b/z", "b/x", "c", "c/x/y/z"]
CONTENT = st.one_of(
    st.sampled_from([b"", b"one", b"two", b"111"]),
    st.sampled_from([(b"one", "x"), (b"", "x"), ("link", "a"), ("link", "nowhere"), None]),
)


def sound(files):
    """Leave out what cannot stand together: a path below a file."""
    kept = {}
    for path in sorted(files, key=len):
        above = [path[:at] for at in range(len(path)) if path[at] == "/"]
        if not any(p in kept and kept[p] is not None for p in above):
            for p in above:
                kept.pop(p, None)
            kept[path] = files[path]
    return kept


FILES = st.dictionaries(st.sampled_from(NAMES), CONTENT, max_size=6).map(sound)
