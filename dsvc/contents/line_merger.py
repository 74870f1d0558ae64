"""Merge commits by the lines of their files."""

from __future__ import annotations

from dataclasses import dataclass

from dsvc.contents.kinds import is_binary
from dsvc.contents.likeness import similar_files
from dsvc.contents.text_merge import Favor, Style, TextMergeFailedError, merge
from dsvc.history.ancestry import Ancestry
from dsvc.history.mergecommits import CommitMerger
from dsvc.history.mergeentry import ContentRequest, MergedContent
from dsvc.objects.store import ObjectStore
from dsvc.objects.tree import Entry

TEXT_LIMIT = 64 << 20
"""Bytes of one side above which a file is not merged by lines: both sides are kept beside each other then."""


@dataclass(frozen=True, slots=True)
class ContentMerger:
    """Merges files by lines: a `MergeContent` of `dsvc.history.mergeentry`.

    With `favor` each conflict is settled for that side, also where contents cannot be merged by lines.
    """

    store: ObjectStore
    style: Style
    favor: Favor | None = None

    def __call__(self, request: ContentRequest) -> MergedContent | None:
        """Merge and store; None for binary and very large files."""
        sides = (request.base, request.ours, request.theirs)
        texts = None if any(e.size > TEXT_LIMIT for e in sides if e is not None) else self._texts(sides)
        if texts is not None:
            try:
                merged = merge(
                    *texts,
                    base_label=_one_line(request.base_label),
                    ours_label=_one_line(request.ours_label),
                    theirs_label=_one_line(request.theirs_label),
                    style="diff3" if request.depth and self.style == "zdiff3" else self.style,
                    favor=None if request.depth else self.favor,
                )
            except TextMergeFailedError:
                pass
            else:
                file_id = self.store.put_content(merged.content)
                return MergedContent(file_id, len(merged.content), merged.conflicts)
        if request.depth or self.favor not in ("ours", "theirs"):
            return None
        side = request.ours if self.favor == "ours" else request.theirs
        return MergedContent(side.id, side.size)

    def _texts(self, sides: tuple[Entry | None, Entry, Entry]) -> tuple[bytes, bytes, bytes] | None:
        base, ours, theirs = (b"" if e is None else self.store.read_file(e.id) for e in sides)
        if is_binary(base) or is_binary(ours) or is_binary(theirs):
            return None
        return base, ours, theirs


def line_merger(
    store: ObjectStore, ancestry: Ancestry, *, style: Style = "merge", favor: Favor | None = None
) -> CommitMerger:
    """Return what merges commits of `store`, whose files are merged by lines and whose renames are followed."""

    def read(_path: bytes, entry: Entry) -> bytes:
        return store.read_file(entry.id)

    return CommitMerger(store, ancestry, ContentMerger(store, style, favor), similar=similar_files(read, read))


def _one_line(label: bytes) -> bytes:
    return label.replace(b"\n", b" ").replace(b"\r", b" ")
