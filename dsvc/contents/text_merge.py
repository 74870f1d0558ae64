"""Three-way merge of text by lines, with conflict markers in git's form."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from dsvc.contents import libgit2_merge as libgit2
from dsvc.contents.libgit2_merge import TextMergeFailedError

__all__ = ["Favor", "Style", "TextMerge", "TextMergeFailedError", "merge"]

Style = Literal["merge", "diff3", "zdiff3"]
Favor = Literal["ours", "theirs", "union"]

_STYLES = {"merge": libgit2.STYLE_MERGE, "diff3": libgit2.STYLE_DIFF3, "zdiff3": libgit2.STYLE_ZDIFF3}
_FAVORS = {
    None: libgit2.FAVOR_NONE,
    "ours": libgit2.FAVOR_OURS,
    "theirs": libgit2.FAVOR_THEIRS,
    "union": libgit2.FAVOR_UNION,
}
_MARKER_SIZE = 7
_LONGEST_MARKER = 65535  # libgit2's limit


class TextMerge(NamedTuple):
    """The merged text and how many conflicts are marked in it."""

    content: bytes
    conflicts: int


def merge(
    base: bytes,
    ours: bytes,
    theirs: bytes,
    *,
    ours_label: bytes,
    theirs_label: bytes,
    base_label: bytes,
    style: Style = "merge",
    favor: Favor | None = None,
) -> TextMerge:
    """Merge two texts that go back to a common one; where both changed the same lines, mark a conflict.

    The result is what `git merge-file` writes with the same labels, style and favor, byte for byte: line ends
    stay as they are, and so does a missing end of the last line. Two files without a common one are merged
    over an empty base. With a favor each conflict is settled for that side (`union`: both, ours first) and
    none is left. Labels hold no line ends. Texts must not be binary: ask `kinds.is_binary` before.
    Raises TextMergeFailedError for a text of 1 GiB, or with conflicts and a line of 65535 marker characters.
    """
    if theirs in (ours, base):
        return TextMerge(ours, 0)
    if ours == base:
        return TextMerge(theirs, 0)

    # libgit2 neither counts conflicts nor labels a side that is empty. So the markers it writes are longer than
    # any run of their characters in the texts, and are found without doubt and rewritten afterwards.
    size = _free_marker_size(base, ours, theirs)
    content, clean = libgit2.merge_buffers(
        base,
        ours,
        theirs,
        flags=_STYLES[style] | libgit2.SIMPLIFY_ALNUM,
        favor=_FAVORS[favor],
        marker_size=size or _MARKER_SIZE,
    )
    if clean:
        return TextMerge(content, 0)
    if size is None:
        raise TextMergeFailedError(f"a line of {_LONGEST_MARKER} marker characters leaves none to mark conflicts")
    labels = {b"<": b" " + ours_label, b"|": b" " + base_label, b"=": b"", b">": b" " + theirs_label}
    marker = re.compile(rb"(?m)^([<|=>])\1{%d}[^\r\n]*" % (size - 1))
    marked = marker.sub(lambda found: found[1] * _MARKER_SIZE + labels[found[1]], content)
    return TextMerge(marked, len(re.findall(rb"(?m)^<{%d}" % size, content)))


def _free_marker_size(*texts: bytes) -> int | None:
    size = 16
    while any(char * size in text for text in texts for char in (b"<", b"|", b"=", b">")):
        if size == _LONGEST_MARKER:
            return None
        size = min(2 * size, _LONGEST_MARKER)
    return size
