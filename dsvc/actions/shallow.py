"""A fetch that leaves a part of the history out, or goes on with one that did."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dsvc.actions.commit_graph import commit_graph, graph_path
from dsvc.actions.remote_access import OpenRemote
from dsvc.errors import RequestError
from dsvc.history.ancestry import Ancestry
from dsvc.objects.ids import CommitId, Kind
from dsvc.refs.names import CUT, TAGS
from dsvc.refs.view import Direct, Ref
from dsvc.remotes.transfer.fetching import History, RemoteIncompleteError
from dsvc.remotes.transfer.history_reader import HistoryReader, NotThereError
from dsvc.remotes.transfer.receiving import Received, Receiver
from dsvc.remotes.transfer.shallow import Brought, Choice, Wish, complete_here
from dsvc.repo.cuts import put_cut, without_parents
from dsvc.repo.reachable import Target
from dsvc.workspace import Workspace


class ShallowFetch:
    """Brings history for one fetch, and knows afterwards what was left out; `follow_tags`: tags of it come along."""

    def __init__(self, workspace: Workspace, remote: OpenRemote, wish: Wish, *, follow_tags: bool, jobs: int) -> None:
        self._workspace = workspace
        self._remote = remote
        self._wish = wish
        self._follow_tags = follow_tags
        self._jobs = jobs
        self._brought: Brought | None = None

    @classmethod
    def where_needed(
        cls, workspace: Workspace, remote: OpenRemote, wish: Wish, *, follow_tags: bool, jobs: int
    ) -> ShallowFetch | None:
        """Return one where history is cut, here or there, or is to be; None where a fetch brings all of it.

        Raises:
            RequestError: when all is wanted of a history that is not cut.
        """
        if wish.whole and not workspace.repo.cut:
            raise RequestError("the history is complete here", hint="dsvc fetch brings what is new")
        if not (wish.any or workspace.repo.cut or remote.repo.cut):
            return None
        return cls(workspace, remote, wish, follow_tags=follow_tags, jobs=jobs)

    def history(self, tips: Sequence[Target], known: Iterable[CommitId]) -> History:
        """Return what brings the history below `tips`; `known` are commits that refs name here."""
        repo, remote, wish, name = self._workspace.repo, self._remote, self._wish, self._remote.settings.shown
        here = complete_here(repo.store, known, repo.cut)

        def bring(receiver: Receiver) -> tuple[Received, list[Target]]:
            reader = HistoryReader(repo.store, remote.repo, remote.inbox, jobs=self._jobs, name=name)
            choice = Choice(reader, here=here, cut=repo.cut, cut_there=remote.repo.cut)
            try:
                self._brought = choice.choose(tips, wish)
                if self._follow_tags:
                    choice.take_tags(self._unknown_tags())
            except NotThereError as error:
                kind, wanted = error.target
                what = kind.name.lower()
                raise RemoteIncompleteError(
                    f"{name} lacks {what} {wanted.hex()}, which its refs reach", hint=f"dsvc fsck --remote {name}"
                ) from error
            received = receiver.receive(reader.marks, label="Receiving history")
            return received, [(Kind.COMMIT, bytes(i)) for i in self._brought.again]

        return bring

    def ancestry(self) -> Ancestry:
        """Return commits as walks see them: they stop where history is cut."""
        repo = self._workspace.repo
        stops = repo.cut if self._brought is None else self._brought.stops
        return Ancestry(lambda i: without_parents(repo.commit(i), stops), commit_graph(self._workspace))

    def changes(self) -> dict[str, Ref | None]:
        """Return the ref that notes what is left out from now on, if that is not what it was before."""
        repo = self._workspace.repo
        if self._brought is None or self._brought.cut == repo.cut:
            return {}
        graph_path(self._workspace).unlink(missing_ok=True)  # it holds for what was left out before
        return {CUT: put_cut(repo.store, self._brought.cut)}

    def _unknown_tags(self) -> Iterable[bytes]:
        view = self._workspace.view()
        for name, ref in self._remote.view().items(TAGS):
            if isinstance(ref, Direct) and ref.kind == Kind.TAG and view.get(name) is None:
                yield bytes(ref.id)
