"""Every file of the development data parses or gives one clear error, and none takes over a minute."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from lunheng.errors import ParseError
from lunheng.parsing.sandbox import Sandbox
from lunheng.testing.parser import check_document
from lunheng.types import Limits

DATA = Path(__file__).parents[3] / "shared" / "data"
FOLDERS = ("kreuzberg_docs", "pdfplumber_pdfs")
FILES = sorted(p for name in FOLDERS if (DATA / name).is_dir() for p in (DATA / name).rglob("*") if p.is_file())
CPU_SECONDS = 60.0
"""Of the processor, so that other work on the machine does not count."""


@pytest.mark.slow
@pytest.mark.skipif(not FILES, reason=f"needs {' and '.join(FOLDERS)} in ../shared/data")
@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(DATA)))
def test_each_file_parses_or_says_why(path: Path) -> None:
    sandbox, before = Sandbox(), _cpu_of_children()
    try:
        document = sandbox.parse(path, Limits())
    except ParseError as error:
        message = str(error)
        assert message.startswith(str(path)) and len(message) > len(str(path)) + 20 and "\n" not in message
        assert "max_seconds" not in message and "crashed" not in message
    else:
        check_document(document)
    finally:
        sandbox.close()
    assert _cpu_of_children() - before < CPU_SECONDS


def _cpu_of_children() -> float:
    """Processor seconds of the child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
