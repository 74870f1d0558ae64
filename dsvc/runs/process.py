"""Run a command: pass its output on as it comes and keep it, forward signals, and find out how it ended."""

from __future__ import annotations

import errno
import os
import resource
import select
import shutil
import signal
import sys
import termios
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from dsvc.errors import CommandNotFoundError, NotExecutableError

_PIECE = 1 << 16
_GRACE = 0.2  # seconds for which output of others is waited for once the command has ended
_FORWARDED: Final = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")
_FROM_TERMINAL = 0x80  # SI_KERNEL: the terminal has sent it to the command as well

Sink = Callable[[bytes], None]


class Stream(NamedTuple):
    """One of the command's output streams: where its bytes go, and whether it shall be a terminal.

    `keep` is given everything; `show` too, until it raises BrokenPipeError: then the command gets one as well.
    """

    keep: Sink
    show: Sink
    terminal: int | None = None  # descriptor of the terminal whose size it takes


class Ending(NamedTuple):
    """How a command ended: by an exit code or by a signal; CPU time in microseconds, the peak of memory in bytes.

    Linux counts what this process has into that of the command until the program is there. So where the peak is no more
    than `least`, all that is known is that the command did not need more.
    """

    exit_code: int | None
    signal: int | None
    cpu_user: int
    cpu_system: int
    peak_memory: int
    least: int = 0
    left_running: bool = False  # a process that it started still holds its output

    @property
    def shell_code(self) -> int:
        """The exit code that a shell would report: 128 + n for signal n."""
        return self.exit_code if self.exit_code is not None else 128 + (self.signal or 0)


def find_program(word: str, environment: Mapping[str, str]) -> str:
    """Return the path of the program that a command's first word names.

    Raises:
        CommandNotFoundError: when there is none. NotExecutableError: when it may not be executed.
    """
    path = environment.get("PATH", os.defpath)
    found = shutil.which(word, path=path)
    if found is not None:
        return found
    candidates = [word] if "/" in word else [os.path.join(folder, word) for folder in path.split(os.pathsep)]
    for candidate in candidates:
        if os.path.exists(candidate):
            if os.path.isdir(candidate):
                raise NotExecutableError(f"{candidate} is a folder", hint="name a program in it")
            hint = f"chmod +x {candidate}, or name its interpreter"
            raise NotExecutableError(f"{candidate} is not executable", hint=hint)
    raise CommandNotFoundError(f"there is no command {word}", hint="is it installed, and is its folder in PATH?")


@dataclass(slots=True)
class _Source:
    """The end of a pipe or pseudo terminal from which the output of a command comes."""

    fd: int
    stream: Stream
    shown: bool = True

    def take(self) -> bool:
        """Pass on what is there; False at the end."""
        try:
            data = os.read(self.fd, _PIECE)
        except OSError as error:
            if error.errno in (errno.EINTR, errno.EAGAIN):
                return True
            data = b""  # a pseudo terminal that nobody holds any more fails with EIO
        if not data:
            return False
        self.stream.keep(data)
        if self.shown:
            try:
                self.stream.show(data)
            except BrokenPipeError:
                return False  # so that the command gets the same
        return True


@dataclass(slots=True)
class _Waited:
    """What the thread that waits for the command has found."""

    status: int = 0
    usage: Sequence[float] = ()
    least: int = 0
    done: bool = False
    left: bool = False  # the thread that forwards signals may end


@dataclass(slots=True)
class Command:
    """A command that is about to run; `environment` is all it gets, `every` is called about each second meanwhile."""

    program: str
    words: Sequence[str]
    environment: Mapping[str, str]
    out: Stream
    err: Stream
    every: Callable[[], None] | None = None
    _sources: list[_Source] = field(default_factory=list)

    def run(self, started: Callable[[int], None] | None = None) -> Ending:
        """Run the command to its end in the current folder; `started` is told its process id.

        Signals that would end this process are passed on meanwhile. What processes write that the command leaves
        running is waited for no longer than a moment.

        Raises:
            NotExecutableError: when the system refuses to execute it.
        """
        wanted: set[signal.Signals] = {getattr(signal, name) for name in _FORWARDED}
        if any(stream.terminal is not None for stream in (self.out, self.err)):
            wanted.add(signal.SIGWINCH)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, wanted)
        waited = _Waited()
        try:
            pid = self._spawn(before)
            waited.least = _own_peak()
            if started is not None:
                started(pid)
            wake, woken = os.pipe()
            forward = threading.Thread(target=_forward, args=(pid, waited, wanted, self._resize), daemon=True)
            try:
                threading.Thread(target=_wait_for, args=(pid, waited, woken), daemon=True).start()
                forward.start()
                left = self._pump(wake)
            finally:
                os.close(wake)
                _end_forwarding(forward, waited)
        finally:
            for source in self._sources:
                with suppress(OSError):
                    os.close(source.fd)
            _drop_pending(wanted - set(before))
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        code = os.waitstatus_to_exitcode(waited.status)
        user, system, peak = waited.usage
        return Ending(
            code if code >= 0 else None,
            -code if code < 0 else None,
            int(user * 1e6),
            int(system * 1e6),
            int(peak) * (1 if sys.platform == "darwin" else 1024),
            waited.least,
            left_running=left,
        )

    def _spawn(self, mask: Iterable[int]) -> int:
        actions: list[tuple[object, ...]] = []
        ends = []
        try:
            for target, stream in ((1, self.out), (2, self.err)):
                near, far = _terminal(stream.terminal) if stream.terminal is not None else os.pipe()
                self._sources.append(_Source(near, stream))
                ends.append(far)
                actions.append((os.POSIX_SPAWN_DUP2, far, target))
            try:
                return os.posix_spawn(
                    self.program,
                    [os.fsencode(word) for word in self.words],
                    {os.fsencode(k): os.fsencode(v) for k, v in self.environment.items()},
                    file_actions=actions,
                    setsigmask=mask,
                    setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
                )
            except OSError as error:
                raise _cannot_execute(self.program, error) from error
        finally:
            for far in ends:
                os.close(far)

    def _resize(self) -> None:
        """Give the pseudo terminals the size that the terminal has now."""
        for source in tuple(self._sources):
            if source.stream.terminal is not None:
                with suppress(OSError):
                    termios.tcsetwinsize(source.fd, termios.tcgetwinsize(source.stream.terminal))

    def _pump(self, wake: int) -> bool:
        """Pass output on until the command has ended; say whether others still hold its output then."""
        poll = select.poll()
        sources = {source.fd: source for source in self._sources}
        for fd in (*sources, wake):
            poll.register(fd, select.POLLIN)
        ended = False
        while sources or not ended:
            timeout = _GRACE if ended else 1.0
            ready = poll.poll(timeout * 1000)
            if not ready:
                if ended:
                    return True
                if self.every is not None:
                    self.every()
            for fd, _ in ready:
                if fd == wake:
                    ended = True
                    poll.unregister(wake)
                elif not sources[fd].take():
                    poll.unregister(fd)
                    os.close(fd)
                    self._sources.remove(sources.pop(fd))
        return False


def _cannot_execute(program: str, error: OSError) -> Exception:
    if error.errno in (errno.ENOENT, errno.EACCES, errno.ENOEXEC, errno.ENOTDIR, errno.ELOOP, errno.ETXTBSY):
        why = {
            errno.ENOENT: "the interpreter that its first line names is not there",
            errno.ENOEXEC: "it is no program for this machine, and has no line #! at its begin",
        }.get(error.errno, error.strerror or "")
        return NotExecutableError(f"{program} cannot be executed: {why}", hint="name its interpreter")
    if error.errno == errno.E2BIG:
        return NotExecutableError("the command line and the environment are too long", hint="put the words in a file")
    return error


def _own_peak() -> int:
    """Return how much memory the commands that we start inherit in their peak, in bytes.

    That is the peak of this program (VmHWM), and not `ru_maxrss`, in which we have inherited that of who started us.
    """
    if sys.platform != "linux":
        return 0
    try:
        with open("/proc/self/status", "rb") as status:
            return next(int(line.split()[1]) for line in status if line.startswith(b"VmHWM:")) * 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _wait_for(pid: int, waited: _Waited, woken: int) -> None:
    try:
        _, status, usage = os.wait4(pid, 0)
        waited.status, waited.usage = status, (usage.ru_utime, usage.ru_stime, usage.ru_maxrss)
    except ChildProcessError:  # whoever started us lets the system take children away
        waited.usage = (0.0, 0.0, 0.0)
    waited.done = True
    with suppress(OSError):
        os.close(woken)


def _forward(pid: int, waited: _Waited, wanted: set[signal.Signals], resize: Callable[[], None]) -> None:
    """Pass signals on to the command, but for those that the terminal has sent to both.

    It waits without a limit: where a limit runs out while the process is stopped (Ctrl-Z, then fg), CPython's
    sigtimedwait returns what was on its stack in place of a signal.
    """
    if not hasattr(signal, "sigwaitinfo"):
        while not waited.done:
            number = signal.sigwait(wanted)
            if number == signal.SIGWINCH:
                resize()
            elif number not in (signal.SIGINT, signal.SIGQUIT) or not os.isatty(0):
                _kill(pid, waited, number)
        return
    while True:
        info = signal.sigwaitinfo(wanted)
        if waited.left and info.si_pid == os.getpid():
            return
        if info.si_signo == signal.SIGWINCH:
            resize()
        elif info.si_code != _FROM_TERMINAL:
            _kill(pid, waited, info.si_signo)


def _end_forwarding(thread: threading.Thread, waited: _Waited) -> None:
    """Wake the thread that forwards signals by one to itself, the only thing that ends it."""
    waited.left = True
    if hasattr(signal, "sigwaitinfo") and thread.ident is not None:
        signal.pthread_kill(thread.ident, signal.SIGUSR2)
        thread.join()


def _kill(pid: int, waited: _Waited, number: int) -> None:
    if not waited.done:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _drop_pending(wanted: set[signal.Signals]) -> None:
    """Forget signals that came when the command had just ended: they were meant for it."""
    if hasattr(signal, "sigtimedwait"):
        while wanted and signal.sigtimedwait(wanted, 0) is not None:
            pass


def _terminal(like: int) -> tuple[int, int]:
    """Return both ends of a pseudo terminal that changes no byte, with the size of the terminal `like`."""
    near, far = os.openpty()
    attributes = termios.tcgetattr(far)
    attributes[1] &= ~termios.OPOST
    termios.tcsetattr(far, termios.TCSANOW, attributes)
    with suppress(OSError):
        termios.tcsetwinsize(far, termios.tcgetwinsize(like))
    return near, far
