"""Finds the parser of a file, runs it here and now, and lays the metadata over the result.

Called by ``worker`` in the child process; ``lunheng.parsing.parse_file`` is the way in from
outside. Each format is one line of ``PARSERS`` and one module.
"""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lunheng.errors import LimitError, LunhengError, ParseError
from lunheng.parsing.detect import CODE_SUFFIXES, PICTURES, detect
from lunheng.parsing.hashing import hash_file
from lunheng.parsing.metadata import apply_metadata, read_sidecar, with_file_times
from lunheng.types import Document, Limits

if TYPE_CHECKING:
    from lunheng.parsing.members import Allowance
    from lunheng.protocols import Parser  # brings numpy, which half of a worker's memory would be

PARSERS = {
    "pdf": "pdf:PdfParser",
    "docx": "docx:DocxParser",
    "pptx": "pptx:PptxParser",
    "xlsx": "spreadsheet:SpreadsheetParser",
    "xlsb": "spreadsheet:SpreadsheetParser",
    "xls": "legacy_office:XlsParser",
    "ods": "spreadsheet:SpreadsheetParser",
    "csv": "delimited:DelimitedParser",
    "tsv": "delimited:DelimitedParser",
    "html": "html:HtmlParser",
    "md": "markdown:MarkdownParser",
    "txt": "plaintext:PlainTextParser",
    "json": "json_text:JsonParser",
    "jsonl": "json_text:JsonLinesParser",
    "ipynb": "notebook:NotebookParser",
    "eml": "eml:EmlParser",
    "zip": "archive:ZipParser",
    "epub": "epub:EpubParser",
    "rtf": "rtf:RtfParser",
    **dict.fromkeys(["xml", "docbook", "jats", "tei", "fb2"], "xml_markup:XmlParser"),
    "rst": "rst:RstParser",
    "tex": "tex:TexParser",
    "org": "org:OrgParser",
    "doc": "legacy_office:DocParser",
    "ppt": "legacy_office:PptParser",
    "msg": "msg:MsgParser",
    "odt": "odf:OdtParser",
    "odp": "odf:OdpParser",
    **dict.fromkeys(sorted(PICTURES), "image:ImageParser"),
    **dict.fromkeys(CODE_SUFFIXES, "plaintext:SourceCodeParser"),
}
_CONTAINERS = frozenset({"eml", "msg", "zip"})
"""Formats that hold other files."""
_RECOGNISED = frozenset({"pdf", "docx", "pptx", *PICTURES})
"""Formats whose parsers take the setting parsing.ocr."""


def find_parser(format_name: str, ocr: str = "auto", allowance: Allowance | None = None) -> Parser:
    """The parser of a format that ``detect`` named; ``allowance`` is what is left for files inside it."""
    module_name, _, class_name = PARSERS[format_name].partition(":")
    parser_class = getattr(importlib.import_module(f"lunheng.parsing.{module_name}"), class_name)
    parser: Parser
    if format_name in _CONTAINERS:
        parser = parser_class(ocr=ocr, allowance=allowance)
    else:
        parser = parser_class(ocr=ocr) if format_name in _RECOGNISED else parser_class()
    return parser


def parse_here(source: Path, limits: Limits, ocr: str = "auto", allowance: Allowance | None = None) -> Document:
    """Parse ``source`` in this process; ``allowance`` is given where it came out of another file.

    Raises:
        ParseError: and its kinds, each naming the file, the cause and the remedy.
    """
    format_name = "a document"
    try:
        detected = detect(source)
        format_name = detected.format
        document = find_parser(format_name, ocr, allowance).parse(source, limits)
    except LunhengError as error:
        if not isinstance(error, ParseError) or str(source) in str(error):
            raise
        # Raised where only a part of the file was in sight.
        raise type(error)(f"{source}: {error}") from error
    except (MemoryError, RecursionError) as error:
        raise LimitError(
            f"{source}: needs more memory or nesting than allowed ({type(error).__name__}); "
            "split it, or raise parsing.max_memory_bytes"
        ) from error
    except Exception as error:
        # A library's own complaint about a damaged file: it has no common class, and the file has a name.
        raise ParseError(
            f"{source}: could not be read as {format_name} ({type(error).__name__}: {error}); "
            "it may be damaged: open it in its own program and save it again"
        ) from error
    if detected.warning:
        document = replace(document, warnings=(detected.warning, *document.warnings))
    document = apply_metadata(document, read_sidecar(source))
    return replace(with_file_times(document, source), content_hash=hash_file(source))
