"""Every file of the development data parses or gives one clear error, and none takes over a minute."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from lunheng.config import ParsingSettings
from lunheng.errors import LunhengError, ParseError
from lunheng.parsing import parse_file
from lunheng.testing.parser import check_document

DATA = Path(__file__).parents[3] / "shared" / "data"
FOLDERS = ("kreuzberg_docs", "pdfplumber_pdfs")
FILES = sorted(p for name in FOLDERS if (DATA / name).is_dir() for p in (DATA / name).rglob("*") if p.is_file())
SECONDS = 60.0


@pytest.mark.slow
@pytest.mark.skipif(not FILES, reason=f"needs {' and '.join(FOLDERS)} in ../shared/data")
@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(DATA)))
def test_each_file_parses_or_says_why(path: Path) -> None:
    started = time.monotonic()
    try:
        # Whatever takes longer is an error of its own kind, which fails below.
        document = parse_file(path, ParsingSettings(max_seconds=SECONDS))
    except LunhengError as error:
        assert isinstance(error, ParseError), error
        message = str(error)
        assert message.startswith(str(path)) and len(message) > len(str(path)) + 20 and "\n" not in message
        assert "max_seconds" not in message and "crashed" not in message
    else:
        check_document(document)
    assert time.monotonic() - started < SECONDS + 5
