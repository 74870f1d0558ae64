"""What can go wrong with ZFS, told from the words of its programs."""

from __future__ import annotations

import os
import pwd
import re

from dsvc.errors import BusyError, DsvcError, IntegrityError, RemoteError, RequestError
from dsvc.zfs.allowed import needed, place

_QUOTED = re.compile(r"'([^']+)'")


class ZfsMissingError(RequestError):
    """There is no ZFS on this machine, or it does not run."""


class PermissionMissingError(RequestError):
    """ZFS lets somebody not do what is asked for."""


class DatasetMissingError(RequestError):
    """There is no dataset or snapshot of this name."""


class DatasetBusyError(BusyError):
    """A dataset is in use."""


class PoolFullError(RequestError):
    """A pool or dataset has no room left."""


class BrokenStreamError(IntegrityError):
    """A stream is damaged, ends early, or does not fit what it is to be received into."""


class KeyMissingError(RequestError):
    """The key of an encrypted dataset is not loaded."""


class HostUnreachableError(RemoteError):
    """A machine with a pool cannot be reached, or the connection to it broke."""


class ZfsFailedError(RequestError):
    """A command of ZFS failed in a way that has no words of its own here."""


def user_name() -> str:
    """Return the login name of who runs this."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def failure(words: tuple[str, ...], said: str) -> DsvcError:
    """Return the error for a command of zfs (`snapshot`, `tank/data@x` …) that failed and said this on stderr."""
    verb, about = words[0], _about(words, said)
    text = said.lower()
    lines = said.strip().splitlines()
    line = next((line for line in lines if line.startswith("cannot ")), " ".join(lines[-1:]) or "it gave no reason")
    broken = "connection reset by peer" in text  # zfs-fuse died while it was asked
    if broken or "failed to initialize zfs library" in text or "modules are not loaded" in text or "/dev/zfs" in text:
        if "permission denied" in text:
            return PermissionMissingError(
                f"ZFS on this machine may not be used by {user_name()}",
                hint="run dsvc as root, or let it use sudo: dsvc config zfs.sudo true",
            )
        return ZfsMissingError(
            "ZFS does not run on this machine",
            hint="load it with 'modprobe zfs', or start zfs-fuse, and run the same command again",
        )
    if "key not loaded" in text or "key must be loaded" in text or "keys must be loaded" in text:
        dataset = about.partition("@")[0]
        return key_missing(dataset, dataset)
    if "only be mounted by root" in text or "insufficient privileges" in text or "must be superuser" in text:
        return PermissionMissingError(
            f"{about} cannot be mounted by {user_name()}: Linux lets only root mount a dataset",
            hint="dsvc config zfs.sudo true lets dsvc call 'sudo zfs'",
        )
    if "permission denied" in text or "not owner" in text:
        return refused(words, said, user_name(), needed(words))
    if "out of space" in text or "no space left" in text or "quota exceeded" in text:
        pool = about.partition("/")[0].partition("@")[0]
        return PoolFullError(
            f"there is no room for 'zfs {verb}' of {about}: {line}",
            hint=f"'zfs list -o space -r {pool}' shows what takes it; remove files, or let dsvc gc destroy snapshots "
            "that nothing reaches",
        )
    above = words[-1].rpartition("/")[0]
    named = f"'{above.lower()}'" in text or "new filesystem stream" in text  # versions say it in different words
    if verb == "receive" and above and "does not exist" in text and named:
        return DatasetMissingError(
            f"there is no dataset {above} to receive into", hint=f"zfs create -p {above}, and then the same again"
        )
    if verb == "receive" and "-s" in words and "cannot receive" in text:
        return BrokenStreamError(
            f"the stream for {about} was not received: {line}",
            hint="run the same command again: what arrived of it is kept where that can be, and it goes on from there",
        )
    if verb == "receive":
        return BrokenStreamError(
            f"the stream for {about} was not received: {line}",
            hint="dsvc fsck --remote looks at what the remote has; nothing was kept of it here",
        )
    if "does not exist" in text or "no such pool" in text or "could not find" in text:
        return DatasetMissingError(
            f"there is no {'snapshot' if '@' in about else 'dataset'} {about}",
            hint="'zfs list -r -t all' shows what there is; after a rename: dsvc data add PATH --zfs DATASET",
        )
    if "busy" in text:
        return DatasetBusyError(
            f"{about} is in use: {line}", hint="end the programs that work in it ('fuser -m FOLDER' names them)"
        )
    return ZfsFailedError(f"'zfs {verb}' failed for {about}: {line}", hint="'zpool status' tells how the pool is")


def key_missing(dataset: str, root: str) -> KeyMissingError:
    """Return the error for an encrypted dataset whose key, which is that of `root`, is not loaded."""
    return KeyMissingError(
        f"{dataset} is encrypted, and its key is not loaded",
        hint=f"zfs load-key {root}, and then the same command again",
        details={"dataset": dataset},
    )


def refused(words: tuple[str, ...], said: str, user: str, lacking: tuple[str, ...]) -> PermissionMissingError:
    """Return the error for a command that a user was not allowed, for lack of these permissions."""
    about = _about(words, said)
    where, several = place(words, about), len(lacking) > 1
    return PermissionMissingError(
        f"ZFS does not let {user} {words[0]} {about}: the permission{'s' if several else ''} {', '.join(lacking)} "
        f"{'are' if several else 'is'} missing on {where}",
        hint=f"sudo zfs allow {user} {','.join(lacking)} {where}",
        details={"dataset": where, "permission": ",".join(lacking)},
    )


def _about(words: tuple[str, ...], said: str) -> str:
    found = _QUOTED.search(said)
    if found is not None:
        return found[1]
    named = [word for word in words[1:] if "/" in word or "@" in word]
    return named[-1] if named else words[-1]
