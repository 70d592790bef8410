"""Converts an old Office file with LibreOffice, where that is installed.

Called by the parsers of doc, ppt and, where their own library fails, xls. Each conversion has a profile of
its own that runs no macro and follows no link, and a clock; in a child process it also has that child's limits.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lunheng.errors import LimitError, ParseError, UnsupportedFormatError
from lunheng.types import Limits

_PLACES = (
    "/Applications/LibreOffice.app/Contents/MacOS/soffice",
    "C:\\Program Files\\LibreOffice\\program\\soffice.exe",
)
_SETTINGS = (
    ("Common/Security/Scripting", "DisableMacrosExecution", "true"),
    ("Common/Security/Scripting", "MacroSecurityLevel", "3"),
    ("Common/Security/Scripting", "DisableActiveContent", "true"),
    ("Common/Security/Scripting", "BlockUntrustedRefererLinks", "true"),
    ("Writer/Content/Update", "Link", "0"),
    ("Calc/Content/Update", "Link", "1"),  # Calc counts otherwise: 0 always, 1 never
)


def find_libreoffice() -> str | None:
    """The program, or None where LibreOffice is not installed."""
    found = shutil.which("soffice") or shutil.which("libreoffice")
    return found or next((place for place in _PLACES if Path(place).is_file()), None)


@contextlib.contextmanager
def converted(source: Path, kind: str, target: str, reader: str, limits: Limits) -> Iterator[Path]:
    """Convert ``source``, which is a ``kind`` (doc), to ``target`` (docx); the file is gone after the block.

    ``reader`` is LibreOffice's name for its import filter: left to itself it takes a damaged file for text.

    Raises:
        UnsupportedFormatError: if LibreOffice is not installed.
        LimitError: if it takes longer than ``limits.max_seconds``.
        ParseError: if it cannot read the file.
    """
    program = find_libreoffice()
    if program is None:
        raise UnsupportedFormatError(
            f"{source}: the old .{kind} format is read through LibreOffice, which is not installed; "
            f"install LibreOffice, or save the file as .{target}"
        )
    with tempfile.TemporaryDirectory(prefix="lunheng-office-") as name:
        folder = Path(name)
        given, out = folder / f"document.{kind}", folder / "out"
        shutil.copyfile(source, given)
        _write_profile(folder / "profile")
        command = [
            *(program, "--headless", "--norestore", "--nologo", "--nodefault", "--nolockcheck"),
            f"-env:UserInstallation={(folder / 'profile').as_uri()}",
            *(f"--infilter={reader}", "--convert-to", target, "--outdir", str(out), str(given)),
        ]
        _run(command, folder, source, limits)
        result = out / f"document.{target}"
        if not result.is_file():
            raise ParseError(
                f"{source}: LibreOffice could not read it as .{kind}; it may be damaged or locked with a password: "
                f"open it in its own program and save it as .{target}"
            )
        yield result


def _run(command: list[str], folder: Path, source: Path, limits: Limits) -> None:
    environment = {key: value for key, value in os.environ.items() if key in ("PATH", "LANG", "LC_ALL", "SYSTEMROOT")}
    environment |= {"HOME": str(folder), "TMPDIR": str(folder), "SAL_USE_VCLPLUGIN": "svp"}
    in_sandbox = os.name == "posix" and os.getsid(0) == os.getpid()
    process = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # A child of the sandbox leads its own group, which the sandbox ends as a whole: stay in it.
        process_group=None if in_sandbox or os.name != "posix" else 0,
    )
    try:
        process.wait(limits.max_seconds)
    except subprocess.TimeoutExpired as error:
        raise LimitError(
            f"{source}: LibreOffice took over {limits.max_seconds:g} s and was ended; save it in the new format"
        ) from error
    finally:
        if process.poll() is None:
            if not in_sandbox and os.name == "posix":
                os.killpg(process.pid, signal.SIGKILL)
            process.kill()
            process.wait()


def _write_profile(folder: Path) -> None:
    items = "".join(
        f'<item oor:path="/org.openoffice.Office.{path}"><prop oor:name="{name}" oor:op="fuse"><value>{value}</value>'
        "</prop></item>"
        for path, name, value in _SETTINGS
    )
    (folder / "user").mkdir(parents=True)
    (folder / "user" / "registrymodifications.xcu").write_text(
        '<?xml version="1.0" encoding="UTF-8"?><oor:items xmlns:oor="http://openoffice.org/2001/registry" '
        'xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        f"{items}</oor:items>",
        encoding="utf-8",
    )
