"""Office files of before 2007: converted by LibreOffice, then read as docx, pptx and xlsx.

Called by ``dispatch`` for doc, ppt and xls. The document keeps its own type and hash.
"""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

from lunheng.errors import EncryptedError, LimitError, ParseError
from lunheng.parsing import libreoffice
from lunheng.parsing.builder import read_bytes
from lunheng.parsing.docx import DocxParser
from lunheng.parsing.pptx import PptxParser
from lunheng.parsing.spreadsheet import SpreadsheetParser
from lunheng.types import Document, Limits, content_id


class DocParser:
    """Reads doc."""

    def parse(self, source: Path, limits: Limits) -> Document:
        data = read_bytes(source, limits)
        with libreoffice.converted(source, "doc", "docx", _word_filter(source), limits) as path:
            return _as_its_own(DocxParser().parse(path, limits), source, "doc", data, path)


class PptParser:
    """Reads ppt."""

    def parse(self, source: Path, limits: Limits) -> Document:
        data = read_bytes(source, limits)
        with libreoffice.converted(source, "ppt", "pptx", "MS PowerPoint 97", limits) as path:
            return _as_its_own(PptxParser().parse(path, limits), source, "ppt", data, path)


class XlsParser:
    """Reads xls: by calamine, and what calamine cannot read through LibreOffice."""

    def parse(self, source: Path, limits: Limits) -> Document:
        try:
            return SpreadsheetParser().parse(source, limits)
        except (EncryptedError, LimitError):
            raise
        except ParseError:
            if libreoffice.find_libreoffice() is None:
                raise
        data = read_bytes(source, limits)
        with libreoffice.converted(source, "xls", "xlsx", "MS Excel 97", limits) as path:
            document = _as_its_own(SpreadsheetParser().parse(path, limits), source, "xls", data, path)
        return replace(
            document, warnings=(*document.warnings, "read through LibreOffice, since it is damaged or very old")
        )


def _word_filter(source: Path) -> str:
    """LibreOffice's filter by the version in the file information block ([MS-DOC] 2.5.2, nFib)."""
    import olefile

    try:
        with olefile.OleFileIO(source) as container:
            version = struct.unpack_from("<H", container.openstream("WordDocument").read(4), 2)[0]
    except (OSError, ValueError, IndexError, TypeError, struct.error) as error:
        raise ParseError(f"{source}: a damaged Word document ({error}); open and save it again in Word") from error
    return "MS Word 97" if version >= 0xC0 else "MS Word 95" if version > 0x65 else "MS WinWord 6.0"


def _as_its_own(document: Document, source: Path, kind: str, data: bytes, path: Path) -> Document:
    title = source.stem if document.title == path.stem else document.title
    return replace(document, source=str(source), source_type=kind, title=title, content_hash=content_id(data))
