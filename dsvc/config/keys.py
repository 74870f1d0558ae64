"""The table of known keys, and how a dotted key is split and spelled."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from dsvc.errors import UsageError

Kind = Literal["str", "int", "bool", "size", "list"]
Value = str | int | bool | float | tuple[str, ...]


class KnownKey(NamedTuple):
    """What dsvc itself knows of one key; `choices` limits a str to some words."""

    name: str
    kind: Kind
    help: str
    default: Value | None = None
    choices: tuple[str, ...] = ()


class BadKeyError(UsageError):
    """A key is not of the form `section.name`."""


_MIB: Final = 1 << 20

_TABLE: Final = (
    KnownKey("user.name", "str", "Your name, as it stands in commits."),
    KnownKey("user.email", "str", "Your e-mail address, as it stands in commits."),
    KnownKey("user.signingKey", "str", "The SSH key that signs: a path, or key:: and a public key that the agent has."),
    KnownKey("core.pager", "str", "Program that shows long output; 'cat' or an empty string for none."),
    KnownKey("core.editor", "str", "Program that edits messages and configuration."),
    KnownKey("core.gitignore", "bool", "Read .gitignore files beside .dsvcignore.", default=True),
    KnownKey("core.hooksPath", "str", "Folder of hooks, instead of .dsvc/hooks; a relative one counts from the root."),
    KnownKey("build.base", "str", "The image on which 'dsvc build' builds, where --base does not say."),
    KnownKey("build.insecureRegistries", "list", "Hosts of image registries that speak HTTP without TLS."),
    KnownKey("build.registry", "str", "Where 'dsvc deploy' pushes images, such as registry.example.com/team."),
    KnownKey(
        "color.ui",
        "str",
        "When to colour: a terminal decides, always, or never.",
        default="auto",
        choices=("auto", "always", "never"),
    ),
    KnownKey("commit.confirm", "size", "A commit with more bytes in new files asks first.", default=1024 * _MIB),
    KnownKey(
        "commit.environment",
        "str",
        "When a commit names its environment: in worktrees where one was locked (auto), always, or never.",
        default="auto",
        choices=("auto", "always", "never"),
    ),
    KnownKey("commit.sign", "bool", "Sign each commit.", default=False),
    KnownKey("data.numcopies", "int", "In how many other places what 'data drop' removes must be.", default=1),
    KnownKey("diff.context", "int", "Lines of context around a change.", default=3),
    KnownKey("env.variables", "list", "Environment variables to record too; * and ? stand for any characters."),
    KnownKey("fork.parent", "str", "Where this repository was forked from."),
    KnownKey("fork.operation", "str", "The newest operation there at that moment."),
    KnownKey("gc.auto", "bool", "Tidy the store after commits.", default=True),
    KnownKey("gc.graceDays", "int", "Days for which gc keeps what only undo reaches.", default=30),
    KnownKey("git.lfsThreshold", "size", "Larger files are exported to git as LFS pointers.", default=10 * _MIB),
    KnownKey("init.defaultBranch", "str", "Name of the first branch of a new repository.", default="main"),
    KnownKey(
        "log.date",
        "str",
        "How dates are shown.",
        default="default",
        choices=("default", "iso", "iso-strict", "short", "relative", "local", "rfc", "unix"),
    ),
    KnownKey(
        "merge.conflictStyle", "str", "Form of conflict markers.", default="merge", choices=("merge", "diff3", "zdiff3")
    ),
    KnownKey("merge.tool", "str", "Shell command of 'resolve --tool', with $BASE, $LOCAL, $REMOTE and $MERGED."),
    KnownKey("merge.verifySignatures", "bool", "Merge only commits with a good signature.", default=False),
    KnownKey(
        "provenance.outputs",
        "list",
        "Patterns, as in .dsvcignore, of files that runs write: others that match are shown as unclaimed.",
    ),
    KnownKey("pull.rebase", "bool", "Let 'pull' rebase instead of merging.", default=False),
    KnownKey("rebase.autoStash", "bool", "Stash changes before a rebase and apply them after it.", default=False),
    KnownKey("run.after", "bool", "Let the steps of .dotscience.yml follow each run.", default=False),
    KnownKey(
        "run.environment",
        "str",
        "Whether runs name the environment in which they took place.",
        default="always",
        choices=("always", "never"),
    ),
    KnownKey("run.metrics", "list", "Files whose values become metrics of each run, relative to the root."),
    KnownKey("run.headline", "str", "The metric shown beside a run in log --graph and lineage."),
    KnownKey("s3.addressing", "str", "Where a bucket's name stands.", choices=("auto", "path", "virtual")),
    KnownKey("s3.attempts", "int", "How often a request is tried."),
    KnownKey("s3.checksums", "bool", "Send more checksums than the protocol demands."),
    KnownKey("s3.connectTimeout", "int", "Seconds until a connection counts as failed."),
    KnownKey("s3.connections", "int", "Most connections at once."),
    KnownKey("s3.encryption", "str", "What the store encrypts by: AES256, aws:kms or aws:kms:dsse."),
    KnownKey("s3.endpoint", "str", "URL of the store, where it is not Amazon's."),
    KnownKey("s3.kmsKey", "str", "Id of the key for aws:kms."),
    KnownKey("s3.limitRate", "size", "Most bytes a second each way."),
    KnownKey("s3.parallelParts", "int", "Parts of one file that go up at once."),
    KnownKey("s3.partSize", "size", "Larger files go up in parts of this size."),
    KnownKey("s3.profile", "str", "Profile in AWS's files."),
    KnownKey("s3.readTimeout", "int", "Seconds without an answer until a request counts as failed."),
    KnownKey("s3.region", "str", "Region of the bucket."),
    KnownKey("s3.singleWriter", "bool", "This machine alone writes to the buckets: no conditions are needed."),
    KnownKey("s3.storageClass", "str", "Storage class of what is written."),
    KnownKey("sign.allowedSigners", "str", "File that says who may sign, in OpenSSH's form (ssh-keygen(1))."),
    KnownKey("sign.program", "str", "Program that signs and checks (ssh-keygen)."),
    KnownKey("sign.revokedKeys", "str", "File of keys whose signatures count no more, or a key revocation list."),
    KnownKey("ssh.attempts", "int", "How often a call is tried whose connection breaks."),
    KnownKey("ssh.client", "str", "What connects to SSH hosts.", choices=("auto", "openssh", "paramiko")),
    KnownKey("ssh.command", "str", "What is run at the far end: 'dsvc hub serve'."),
    KnownKey("ssh.connectTimeout", "int", "Seconds until a connection counts as failed."),
    KnownKey("ssh.keepalive", "int", "Seconds of silence until the far end is asked whether it is there."),
    KnownKey("ssh.limitRate", "size", "Most bytes a second each way."),
    KnownKey("ssh.options", "list", "Words for the program ssh, such as -oIdentityFile=FILE."),
    KnownKey("ssh.server", "str", "What answers at SSH hosts.", choices=("auto", "dsvc", "sftp")),
    KnownKey("store.compression", "int", "zstd level of new objects.", default=1),
    KnownKey(
        "store.link",
        "str",
        "How a fork shares stored objects with its source, and how large files are kept beside the working copy's: "
        "hardlink is one read-only file for both (dsvc init --whole-files), copy stores them a second time.",
        default="auto",
        choices=("auto", "reflink", "hardlink", "copy"),
    ),
    KnownKey("tag.sign", "bool", "Sign each tag.", default=False),
    KnownKey("zfs.parent", "str", "Dataset below which received datasets are made, such as tank/projects."),
    KnownKey("zfs.sudo", "bool", "Call 'sudo -n zfs', where Linux lets only root mount.", default=False),
)

_FREE_SECTIONS: Final = ("alias", "branch", "remote")


def known_keys() -> tuple[KnownKey, ...]:
    """All keys that dsvc reads, sorted by name."""
    return tuple(sorted(_TABLE, key=lambda key: key.name))


def default_text(key: KnownKey) -> str:
    """The default of a key as somebody would type it; empty where there is none."""
    if key.kind == "size" and isinstance(key.default, int):
        steps = next(steps for steps in (3, 2, 1, 0) if key.default % (1 << 10 * steps) == 0)
        return f"{key.default >> 10 * steps}{('', 'KiB', 'MiB', 'GiB')[steps]}"
    return str(key.default).lower() if isinstance(key.default, bool) else str(key.default or "")


def known_key(name: str) -> KnownKey | None:
    """The table's row for `name`, or None."""
    for key in _TABLE:
        if key.name == name:
            return key
    return None


def similar_key(name: str) -> str | None:
    """The known key that somebody who typed the unknown key `name` probably meant.

    None for a known key, for `alias.*`, `branch.*` and `remote.*`, and for a section that no known key has.
    """
    section = split_key(name)[0]
    if known_key(name) is not None or section in _FREE_SECTIONS:
        return None
    by_lower = {key.name.lower(): key.name for key in _TABLE}
    if name.lower() in by_lower:
        return by_lower[name.lower()]
    from difflib import get_close_matches

    close = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.75)
    return by_lower[close[0]] if close else None


def split_key(key: str) -> tuple[str, ...]:
    """The parts of a dotted key; a part with a dot in it is written in double quotes.

    Raises BadKeyError unless there are at least two parts and none is empty.
    """
    parts: list[str] = []
    part = ""
    quoted = False
    for character in key:
        if character == '"':
            quoted = not quoted
        elif character == "." and not quoted:
            parts.append(part)
            part = ""
        else:
            part += character
    parts.append(part)
    if quoted or len(parts) < 2 or not all(parts) or any(ord(character) < 32 for character in key):
        raise BadKeyError(
            f"{key!r} is not a configuration key",
            hint="a key has a section and a name with a dot between, such as user.name",
        )
    return tuple(parts)


def join_key(parts: tuple[str, ...]) -> str:
    """The dotted spelling that `split_key` takes apart again."""
    return ".".join(f'"{part}"' if "." in part else part for part in parts)
