"""Check the signatures of commits and tags."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from dsvc.actions.cherry_pick import commits_named
from dsvc.actions.revision import revision_context
from dsvc.config.signing import SigningSettings
from dsvc.errors import AnswerNoError, RequestError
from dsvc.gitbridge.gitsignature import NAMESPACE as GIT
from dsvc.gitbridge.gitsignature import GitIds, GitSignature, commit_signature, tag_signature
from dsvc.gitbridge.origin import KEY
from dsvc.history.revisions import resolve
from dsvc.objects.ids import CommitId, Kind, TagId
from dsvc.objects.values import Commit, Tag, encode_commit, encode_tag
from dsvc.refs.names import TAGS
from dsvc.repo.tombstones import Tombstone, encode_tombstone
from dsvc.signing import NAMESPACE, UNSIGNED, Keygen, Verdict, is_ssh_signature, verify_signature
from dsvc.workspace import Workspace


class UntrustedCommitError(AnswerNoError):
    """A commit without a good signature, where only signed ones are taken."""

    def __init__(self, commit_id: CommitId, verdict: Verdict) -> None:
        short = commit_id.hex()[:10]
        reason = f": {verdict.reason}" if verdict.reason else ""
        super().__init__(
            f"commit {short} has no good signature ({verdict.status}){reason}",
            hint=f"dsvc verify-commit {short}; sign.allowedSigners says who may sign",
            details={"commit": commit_id.hex(), "status": verdict.status},
        )


class VerifiedCommit(NamedTuple):
    """A commit and what its signature is worth."""

    commit_id: CommitId
    commit: Commit
    verdict: Verdict


class VerifiedTag(NamedTuple):
    """A tag object, the name it was asked for by, and what its signature is worth."""

    name: str
    tag_id: TagId
    tag: Tag
    verdict: Verdict


class Verifier:
    """Checks signatures by the settings of a workspace, which are read when the first one is met.

    A signature that git made covers git's bytes. It counts as good only if the commit here is what was signed, which
    takes reading all its files; with `thorough` off such a signature is left unchecked.
    """

    def __init__(self, workspace: Workspace, *, thorough: bool) -> None:
        self._workspace = workspace
        self._thorough = thorough
        self._rules: tuple[SigningSettings, bytes | None, bytes | None] | None = None
        self._ids = GitIds(workspace.repo)
        self._last: tuple[Commit, Verdict] | None = None

    def commit(self, commit: Commit) -> Verdict:
        """Return what a commit's signature is worth; raises SigningProgramError and BadSignersFileError."""
        if self._last is not None and self._last[0] is commit:
            return self._last[1]
        verdict = self._commit(commit)
        self._last = commit, verdict
        return verdict

    def tag(self, tag: Tag) -> Verdict:
        """Return what a tag's signature is worth; raises SigningProgramError and BadSignersFileError."""
        at = tag.tagger.time if tag.tagger is not None else 0
        if tag.signature is not None:
            return self._verdict(encode_tag(tag, signed=False), tag.signature, at)
        git = tag_signature(tag) if KEY in tag.metadata else None
        if git is None:
            return UNSIGNED
        return self._git_verdict(git, at, lambda: self._ids.tag_differs(tag), "dsvc verify-tag")

    def tombstone(self, tombstone: Tombstone) -> Verdict:
        """Return what the signature of a note on erased content is worth; raises as `tag`."""
        if tombstone.signature is None:
            return UNSIGNED
        return self._verdict(encode_tombstone(tombstone, signed=False), tombstone.signature, tombstone.time)

    def _commit(self, commit: Commit) -> Verdict:
        at = commit.committer.time
        if commit.signature is not None:
            return self._verdict(encode_commit(commit, signed=False), commit.signature, at)
        git = commit_signature(commit) if KEY in commit.metadata else None
        if git is None:
            return UNSIGNED
        return self._git_verdict(git, at, lambda: self._ids.commit_differs(commit), "dsvc verify-commit")

    def _git_verdict(self, git: GitSignature, at: int, differs: Callable[[], str | None], verb: str) -> Verdict:
        if not is_ssh_signature(git.signature):
            verdict = self._verdict(git.payload, git.signature, at)
        elif not self._thorough:
            verdict = Verdict("unchecked", reason=f"it was made by git; '{verb}' checks it")
        else:
            verdict = self._verdict(git.payload, git.signature, at, namespace=GIT)
            reason = differs() if verdict.good else None
            if reason is not None:
                reason = f"it fits git's bytes, but {reason}"
                verdict = verdict._replace(status="unchecked", principal=None, reason=reason)
        return verdict._replace(git_id=git.id.hex())

    def _verdict(self, payload: bytes, signature: bytes, at: int, *, namespace: str = NAMESPACE) -> Verdict:
        if self._rules is None:
            settings = self._workspace.surroundings.signing()
            self._rules = settings, settings.allowed_content(), settings.revoked_content()
        settings, allowed, revoked = self._rules
        keygen = Keygen(settings.program, settings.environment)
        return verify_signature(payload, signature, allowed, at, namespace=namespace, revoked=revoked, keygen=keygen)


def require_signature(workspace: Workspace, commit_id: CommitId) -> None:
    """Refuse a commit whose own signature is not good; since its parents' ids are in it, it speaks for them too.

    Raises:
        UntrustedCommitError: then. SigningProgramError, BadSignersFileError.
    """
    verdict = Verifier(workspace, thorough=True).commit(workspace.repo.commit(commit_id))
    if not verdict.good:
        raise UntrustedCommitError(commit_id, verdict)


def verify_commits(workspace: Workspace, revisions: Sequence[str] = ("HEAD",)) -> list[VerifiedCommit]:
    """Check the signatures of commits, given one by one or as ranges A..B.

    Raises:
        UnknownRevisionError, RequestError: for what names no commit. SigningProgramError, BadSignersFileError.
    """
    verifier = Verifier(workspace, thorough=True)
    found = []
    for commit_id in commits_named(workspace, revisions):
        commit = workspace.repo.commit(commit_id)
        found.append(VerifiedCommit(commit_id, commit, verifier.commit(commit)))
    return found


def verify_tags(workspace: Workspace, names: Sequence[str]) -> list[VerifiedTag]:
    """Check the signatures of tags.

    Raises:
        UnknownRevisionError: for a name that is none. RequestError: for a tag without an object of its own, which can
            have no signature. SigningProgramError, BadSignersFileError.
    """
    verifier = Verifier(workspace, thorough=True)
    context = revision_context(workspace)
    found = []
    for name in names:
        full = name if workspace.view().get(TAGS + name) is None else TAGS + name
        resolved = resolve(context, full)
        if resolved.kind != Kind.TAG:
            raise RequestError(
                f"{name} is no tag with a message, so it has no signature",
                hint=f"dsvc verify-commit {name} checks the commit, dsvc tag -s makes signed tags",
            )
        tag = workspace.repo.tag(TagId(resolved.id))
        found.append(VerifiedTag(name, TagId(resolved.id), tag, verifier.tag(tag)))
    return found
