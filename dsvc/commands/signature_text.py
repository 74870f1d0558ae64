"""Options for signing, and verdicts on signatures as lines and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from dsvc.commands.context import Context
from dsvc.commands.output import Output
from dsvc.errors import UsageError

if TYPE_CHECKING:  # most commands sign and check nothing
    from dsvc.actions.signing import Sign
    from dsvc.signing import Status, Verdict

GpgSign = Annotated[
    str | None,
    typer.Option("-S", "--gpg-sign", "--sign", metavar="[KEY]", help="Sign, with this SSH key or user.signingKey."),
]
NoGpgSign = Annotated[
    bool, typer.Option("--no-gpg-sign", "--no-sign", help="Do not sign, whatever commit.sign says.")
]
ShowSignature = Annotated[bool, typer.Option("--show-signature", help="Check signatures and show what they are worth.")]
VerifySignatures = Annotated[
    bool, typer.Option("--verify-signatures", help="Refuse (1) a commit that has no good signature.")
]
NoVerifySignatures = Annotated[
    bool, typer.Option("--no-verify-signatures", help="Do not, whatever merge.verifySignatures says.")
]

_COLORS: Final[dict[Status, tuple[str, ...]]] = {"good": ("green",), "none": (), "bad": ("red", "bold")}


def chosen_sign(context: Context, key: str | None, *, no_sign: bool) -> Sign:
    """What -S and --no-gpg-sign say: `key` is empty where -S names none; a path counts from the current folder."""
    if key is not None and no_sign:
        raise UsageError("-S and --no-gpg-sign exclude each other")
    if no_sign:
        return False
    return named_key(context, key) if key else None if key is None else True


def named_key(context: Context, key: str) -> str:
    """A key given on the command line, its path made absolute."""
    from dsvc.config.signing import key_of

    return key_of(key, context.environment, context.directory)


def verdict_lines(verdict: Verdict, out: Output) -> Iterator[str]:
    """The verdict in one line, and in another one why."""
    yield out.paint(str(verdict), *_COLORS.get(verdict.status, ("yellow",)))
    if verdict.git_id is not None:
        yield f"  of git's object {verdict.git_id}"
    if verdict.reason:
        yield f"  {verdict.reason}"


def verdict_json(verdict: Verdict) -> dict[str, Any]:
    """The verdict as fields of a JSON document."""
    return {
        "status": verdict.status,
        "letter": verdict.letter,
        "good": verdict.good,
        "principal": verdict.principal,
        "fingerprint": verdict.fingerprint,
        "key_type": verdict.key_type,
        "reason": verdict.reason or None,
        "git_id": verdict.git_id,
    }


def chosen_verify(verify: bool, no_verify: bool) -> bool | None:
    """What --verify-signatures and --no-verify-signatures say; None: neither."""
    if verify and no_verify:
        raise UsageError("--verify-signatures and --no-verify-signatures exclude each other")
    return True if verify else False if no_verify else None
