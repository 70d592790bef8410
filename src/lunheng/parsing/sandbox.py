"""Runs parses in child processes that can be ended.

Called by ``parse_file``, from any number of threads. Each call takes an idle worker or starts one,
so as many run as there are callers. A worker that dies, hangs or grows is replaced, and costs the
one document that did it an error.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from pathlib import Path
from typing import BinaryIO, cast

from lunheng.errors import LimitError, ParseError
from lunheng.parsing.wire import decode_document
from lunheng.parsing.worker import error_from, make_request, read_frame, write_frame
from lunheng.types import Document, Limits

MAX_IDLE = 8


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a child and what it has started, such as LibreOffice: its group, which is its own."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()


def _remove(folder: str, owner: int) -> None:
    if os.getpid() == owner:  # after a fork the worker and its folder are still the parent's
        shutil.rmtree(folder, ignore_errors=True)


class _Clock:
    """One thread that ends the processes whose time is up (a thread for each file would cost more than most files)."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._ends: dict[subprocess.Popen[bytes], float] = {}
        self._next = float("inf")
        """When the thread looks again."""
        self._thread: threading.Thread | None = None
        self._ending = False

    def start(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        """Give ``process`` so many seconds from now."""
        with self._changed:
            self._ends[process] = end = time.monotonic() + seconds
            self._ending = False
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="lunheng-parse-clock", daemon=True)
                self._thread.start()
            if end < self._next:
                self._changed.notify()

    def stop(self, process: subprocess.Popen[bytes]) -> bool:
        """Whether ``process`` was ended; from now on it may take as long as it likes."""
        with self._changed:
            return self._ends.pop(process, None) is None

    def end(self) -> None:
        """End the thread once nothing is timed any more; the next ``start`` begins another."""
        with self._changed:
            self._ending = True
            self._changed.notify()

    def _run(self) -> None:
        with self._changed:
            while self._ends or not self._ending:
                now = time.monotonic()
                for process in [p for p, end in self._ends.items() if end <= now]:
                    del self._ends[process]
                    _kill(process)
                self._next = min(self._ends.values(), default=float("inf"))
                self._changed.wait(self._next - now if self._ends else None)
            self._thread = None
            self._next = float("inf")


class _Worker:
    """One child process."""

    def __init__(self, clock: _Clock) -> None:
        self._clock = clock
        # What it unpacks goes below a folder that is removed however it ends.
        self._folder = tempfile.mkdtemp(prefix="lunheng-worker-")
        self._remove_folder = weakref.finalize(self, _remove, self._folder, os.getpid())
        # -P: a file in the working directory must not stand in for a module.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "lunheng.parsing.worker", self._folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "TMPDIR": self._folder},
            start_new_session=True,
        )

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, request: bytes, seconds: float) -> tuple[bytes | None, bool]:
        """Send a request: (the reply, or None if the worker died; whether the clock ran out)."""
        reply: bytes | None = None
        self._clock.start(self._process, seconds)
        try:
            with contextlib.suppress(BrokenPipeError, OSError):
                write_frame(cast(BinaryIO, self._process.stdin), request)
                reply = read_frame(cast(BinaryIO, self._process.stdout))
        finally:
            expired = self._clock.stop(self._process)
        return reply, expired

    def close(self) -> int:
        """End the process and give its return code (negative: the signal that ended it)."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            # It may be dying by itself, and how is worth knowing.
            self._process.wait(0.2)
        _kill(self._process)
        self._remove_folder()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        return self._process.wait()


class Sandbox:
    """A pool of workers. One for the process is enough; see ``shared``."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin without workers: after a fork they stay with the process that started them."""
        self._lock = threading.Lock()
        self._clock = _Clock()
        self._idle: list[_Worker] = []

    def parse(self, source: Path, limits: Limits, ocr: str = "auto") -> Document:
        """Parse ``source`` in a child.

        Raises:
            LimitError: if it takes longer than ``limits.max_seconds``, or too much memory.
            ParseError: for anything else that went wrong with it.
        """
        worker = self._take()
        keep = False
        try:
            reply, expired = worker.ask(make_request(source, limits, ocr), limits.max_seconds)
            keep = reply is not None and reply[:1].isupper() and not expired
        finally:
            # Also on Ctrl-C: a worker with half an answer in its pipe is never used again.
            if keep:
                self._give_back(worker)
                code = 0
            else:
                code = worker.close()
        if reply is None:
            raise _death(source, limits, code, expired)
        if reply[:1].upper() == b"E":
            raise error_from(reply[1:])
        try:
            return decode_document(reply[1:])
        except (ValueError, LookupError, TypeError) as error:
            raise ParseError(
                f"{source}: the parser's reply made no sense ({error}); the file may be hostile"
            ) from error

    def close(self) -> None:
        """End every idle worker, and the clock when none is at work."""
        with self._lock:
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.close()
        self._clock.end()

    def _take(self) -> _Worker:
        while True:
            with self._lock:
                worker = self._idle.pop() if self._idle else None
            if worker is None:
                return _Worker(self._clock)
            if worker.alive:
                return worker
            worker.close()

    def _give_back(self, worker: _Worker) -> None:
        with self._lock:
            if len(self._idle) < MAX_IDLE:
                self._idle.append(worker)
                return
        worker.close()


def _death(source: Path, limits: Limits, code: int, expired: bool) -> ParseError:
    if expired or code in (-signal.SIGALRM, -signal.SIGXCPU):
        return LimitError(
            f"{source}: parsing took over {limits.max_seconds:g} s and was ended; "
            "split it, or raise parsing.max_seconds if you trust it"
        )
    if code == -signal.SIGKILL:
        return LimitError(
            f"{source}: the parser was killed, most likely for want of memory; split it, or lower parsing.max_memory_bytes"
        )
    how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return ParseError(f"{source}: the parser crashed on it ({how}); the file is damaged or hostile: save it again")


_shared = Sandbox()
atexit.register(_shared.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_shared.forget)


def shared() -> Sandbox:
    """The pool of this process."""
    return _shared
