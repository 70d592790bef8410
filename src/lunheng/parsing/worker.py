"""The child process: reads requests, parses under limits, writes replies.

Started by ``sandbox`` as ``python -m lunheng.parsing.worker FOLDER``, its folder for temporary files; it
serves one file after another, so that starting Python and importing the libraries is paid once. Frames on
both pipes are a length of 8 bytes, little endian, and JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

from lunheng import errors
from lunheng.errors import LimitError, LunhengError
from lunheng.types import Limits

RETIRE_ABOVE = 1_500_000_000
"""A worker that still holds so much memory after a file is replaced, since Python rarely gives it back."""


def main() -> None:
    """Serve until the parent closes the pipe."""
    requests = sys.stdin.buffer
    # Libraries print: what they print must not mix with the replies.
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    try:
        while (request := read_frame(requests)) is not None:
            write_frame(replies, _answer(json.loads(request)))
    finally:
        for folder in sys.argv[1:]:  # the parent has gone, and cannot do it any more
            shutil.rmtree(folder, ignore_errors=True)


def read_frame(stream: BinaryIO) -> bytes | None:
    """The next frame, or None where the other side has gone."""
    head = stream.read(8)
    if len(head) < 8:
        return None
    size = int.from_bytes(head, "little")
    body = stream.read(size)
    return body if len(body) == size else None


def write_frame(stream: BinaryIO, body: bytes) -> None:
    stream.write(len(body).to_bytes(8, "little"))
    stream.write(body)
    stream.flush()


def make_request(source: Path, limits: Limits, ocr: str) -> bytes:
    return json.dumps({"source": str(source), "limits": _as_dict(limits), "ocr": ocr}).encode()


_as_dict = cache(asdict)  # the same limits for every file


def _answer(request: dict[str, Any]) -> bytes:
    """One byte for what follows (D a document, E an error; lower case: and this worker retires), then its JSON."""
    from lunheng.parsing.dispatch import parse_here
    from lunheng.parsing.wire import encode_document

    source, limits = Path(request["source"]), Limits(**request["limits"])
    set_limits(limits)
    try:
        mark, body = b"D", encode_document(parse_here(source, limits, request["ocr"]))
    except MemoryError:
        mark, body = b"E", _describe(_out_of_memory(source))
    except LunhengError as error:
        mark, body = b"E", _describe(error)
    clear_alarm()
    return (mark.lower() if _memory_held() > RETIRE_ABOVE else mark) + body


def _out_of_memory(source: Path) -> LimitError:
    return LimitError(f"{source}: needs more memory than allowed; split it, or raise parsing.max_memory_bytes")


def _describe(error: LunhengError) -> bytes:
    return json.dumps({"error": type(error).__name__, "message": str(error)}).encode()


def error_from(body: bytes) -> LunhengError:
    """The error that a reply describes."""
    described = json.loads(body)
    kind = getattr(errors, str(described["error"]), errors.ParseError)
    if kind is errors.MissingExtraError or not (isinstance(kind, type) and issubclass(kind, LunhengError)):
        kind = errors.ParseError
    made: LunhengError = kind(str(described["message"]))
    return made


def set_limits(limits: Limits) -> None:
    """Bound this process for one file: memory, CPU seconds, and wall seconds even if the parent has died."""
    if sys.platform == "win32":
        return  # no rlimits there: the parent's clock is what bounds a parse
    import resource

    def lower(kind: int, value: int) -> None:
        hard = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))

    used = resource.getrusage(resource.RUSAGE_SELF)
    # Data, not address space: threads and memory maps reserve addresses that they never use.
    lower(resource.RLIMIT_DATA, limits.max_memory_bytes)
    lower(resource.RLIMIT_CORE, 0)
    lower(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime + limits.max_seconds * 2) + 1)
    signal.setitimer(signal.ITIMER_REAL, limits.max_seconds + 5)


def clear_alarm() -> None:
    if sys.platform != "win32":
        signal.setitimer(signal.ITIMER_REAL, 0)


def _memory_held() -> int:
    """Bytes of memory in use now; 0 where the system does not say (the peak of rusage is inherited from the parent)."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        main()
