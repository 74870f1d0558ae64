"""Run ssh-keygen: hand it bytes as if they were files, and say what it says."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from dsvc.atomic import write_all
from dsvc.errors import RequestError
from dsvc.signing.sshsig import NAMESPACE, is_ssh_signature

LITERAL = "key::"
_LITERALS = ("ssh-", "ecdsa-", "sk-ssh-", "sk-ecdsa-")


class SigningProgramError(RequestError):
    """The program that makes and checks signatures is not there or cannot be run."""


class SigningFailedError(RequestError):
    """No signature was made: the key is not there, or its passphrase or agent was not."""


class Keygen(NamedTuple):
    """The program that signs and checks, `ssh-keygen` or one that takes the same arguments.

    `environment` is what it runs in (None: that of this process): the agent, where it asks for a passphrase, the zone
    of local times in an allowed signers file.
    """

    program: str = "ssh-keygen"
    environment: Mapping[str, str] | None = None

    def run(
        self, arguments: Sequence[str], payload: bytes, *, descriptors: Sequence[int] = ()
    ) -> subprocess.CompletedProcess[bytes]:
        """Run it with `payload` on its stdin and return its answer. A passphrase is asked for on the terminal.

        Raises:
            SigningProgramError: when there is no such program, or a signal ended it.
        """
        environment = None if self.environment is None else dict(self.environment)
        try:
            done = subprocess.run(
                [self.program, *arguments],
                input=payload,
                capture_output=True,
                check=False,
                env=environment,
                pass_fds=tuple(descriptors),
            )
        except FileNotFoundError as error:
            raise SigningProgramError(
                f"{self.program} was not found, and signatures are made and checked by it",
                hint="install OpenSSH's client (Debian: apt-get install openssh-client), or set sign.program",
            ) from error
        except OSError as error:
            raise SigningProgramError(f"{self.program} cannot be run: {error.strerror}") from error
        if done.returncode < 0:
            raise SigningProgramError(f"{self.program} was ended by signal {-done.returncode}")
        return done


def sign_payload(payload: bytes, key: str, *, namespace: str = NAMESPACE, keygen: Keygen) -> bytes:
    """Return an SSH signature of `payload`, as the text that ssh-keygen prints.

    `key` is the path of a private key, or of a public one whose private one an agent has or lies beside it, or
    `key::` and the text of a public key whose private one an agent has. Nothing stays on disk.

    Raises:
        SigningFailedError: with ssh-keygen's own words. SigningProgramError.
    """
    command = ["-Y", "sign", "-n", namespace]
    literal = literal_key(key)
    if literal is None:
        done = keygen.run([*command, "-f", key], payload)
    else:
        with readable(literal.encode() + b"\n") as (paths, descriptors):
            done = keygen.run([*command, "-U", "-f", paths[0]], payload, descriptors=descriptors)
    if done.returncode or not is_ssh_signature(done.stdout):
        shown = key if literal is None else literal.split()[0] + " key"
        words = " ".join(_words(done.stderr).split()) or f"it ended with code {done.returncode}"
        raise SigningFailedError(
            f"nothing was signed with {shown}: {words}",
            hint="'ssh-add -l' lists the keys of the agent, 'dsvc config user.signingKey' shows which one is wanted"
            if literal is not None
            else "dsvc config user.signingKey PATH names another key, --no-gpg-sign goes without",
        )
    return done.stdout


def literal_key(key: str) -> str | None:
    """Return the text of a public key that stands for itself, None for a path."""
    if key.startswith(LITERAL):
        return key.removeprefix(LITERAL).strip()
    return key.strip() if key.startswith(_LITERALS) and " " in key.strip() else None


@contextmanager
def readable(*contents: bytes) -> Iterator[tuple[list[str], list[int]]]:
    """Give bytes names under which a program that inherits the descriptors can read them as files.

    They are files in memory where the system has such, so that no kill leaves one behind, and else in a temporary
    folder. Only what is public goes this way: signatures, public keys, allowed signers.
    """
    with ExitStack() as stack:
        if hasattr(os, "memfd_create"):
            descriptors = []
            for content in contents:
                fd = os.memfd_create("dsvc-signing")
                stack.callback(os.close, fd)
                write_all(fd, content)
                descriptors.append(fd)
            yield [f"/dev/fd/{fd}" for fd in descriptors], descriptors
            return
        import tempfile

        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dsvc-signing-")))
        files = [folder / str(number) for number in range(len(contents))]
        for file, content in zip(files, contents, strict=True):
            file.write_bytes(content)
        yield [os.fspath(file) for file in files], []


def _words(stderr: bytes) -> str:
    """Return what ssh-keygen complained of, without the line that says what it is about to do."""
    lines = stderr.decode("utf-8", "replace").splitlines()
    return "\n".join(line.strip() for line in lines if line.strip() and not line.startswith("Signing data on"))
