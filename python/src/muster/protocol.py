"""The protocol between agent and trainer, kept apart from printed output, and the signal to stop."""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType

from .context import Cancelled


class Protocol:
    """Owns the process's standard input and output, and SIGTERM. Must be created before user code is imported.

    Frameworks print to standard output, from Python and from C. So the protocol uses a copy of descriptor 1, and descriptor 1 points to
    standard error, which the agent keeps as a log. Descriptor 0 becomes /dev/null, so that only this class reads jobs.
    """

    GRACE = 1.0
    """Seconds from SIGTERM until the process ends even if native code does not return."""

    def __init__(self) -> None:
        sys.stdout.flush()
        self._output = os.dup(1)
        os.dup2(2, 1)
        self._input = os.dup(0)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                # What was printed before a native abort must not be lost.
                stream.reconfigure(line_buffering=True)
        self._buffer = b""
        self.cancelled = False
        self._interruptible = False
        self._watch()
        # A forked worker (of a data loader) is no trainer: signals that end it are not meant for us. They wait until it knows that.
        self._mask = threading.local()
        os.register_at_fork(before=self._hold, after_in_parent=self._release, after_in_child=self._leave)

    def write(self, line: str) -> None:
        """Writes a line of the protocol. Ends the process when nothing reads the line any more."""
        data = line.encode() + b"\n"
        try:
            while data:
                data = data[os.write(self._output, data) :]
        except BrokenPipeError:
            os._exit(1)

    def read(self) -> str | None:
        """The next line of standard input; None at its end."""
        while b"\n" not in self._buffer:
            part = os.read(self._input, 65536)
            if not part:
                return None
            self._buffer += part
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode("utf-8", "replace")

    def interruptible(self) -> _Interruptible:
        """Within this scope, SIGTERM raises :class:`Cancelled` at any point in the main thread."""
        return _Interruptible(self)

    def watch_signals(self) -> None:
        """Handles SIGTERM and SIGINT. Can be called again, because a framework may have installed its own handlers."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)

    def _watch(self) -> None:
        read, write = os.pipe()
        os.set_blocking(write, False)
        # The interpreter's own handler writes here at once, also while native code runs in the main thread.
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        self.watch_signals()

        def wait() -> None:
            while True:
                number = os.read(read, 1)
                if number in (bytes([signal.SIGTERM]), bytes([signal.SIGINT])):
                    break
            self.cancelled = True
            threading.Event().wait(self.GRACE)
            os._exit(3)

        threading.Thread(target=wait, name="muster-signals", daemon=True).start()

    def _leave(self) -> None:
        self._interruptible = False
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        self._release()

    def _hold(self) -> None:
        self._mask.before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))

    def _release(self) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask.before)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.cancelled = True
        if self._interruptible:
            self._interruptible = False
            raise Cancelled()


class _Interruptible:
    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol

    def __enter__(self) -> None:
        self._protocol._interruptible = True
        if self._protocol.cancelled:
            self._protocol._interruptible = False
            raise Cancelled()

    def __exit__(self, *_: object) -> None:
        self._protocol._interruptible = False
