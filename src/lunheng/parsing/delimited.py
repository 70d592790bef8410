"""CSV and TSV: the tables of one sheet, whatever cuts the cells and whether or not the first row names the columns.

Called by ``dispatch`` for csv and tsv.
"""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

from lunheng.errors import LimitError
from lunheng.parsing.builder import DocumentBuilder, clean_text, read_bytes
from lunheng.parsing.encoding import decode
from lunheng.parsing.sheets import add_table, tables_of
from lunheng.types import Document, Limits

_DELIMITERS = ",;\t|"
_DECLARED = re.compile(r"sep=([^\w\s]|\t)\n")
"""The first line by which a file tells Excel its delimiter."""


class DelimitedParser:
    """Reads csv and tsv, whatever the delimiter."""

    def parse(self, source: Path, limits: Limits) -> Document:
        data = read_bytes(source, limits)
        text, _, warnings = decode(data, str(source))
        kind = "tsv" if source.suffix.lower() in (".tsv", ".tab") else "csv"
        builder = DocumentBuilder(source, kind, data)
        for warning in warnings:
            builder.warn(warning)
        csv.field_size_limit(min(limits.max_bytes, 2**31 - 1))
        rows: list[list[str]] = []
        cells = 0
        text = clean_text(text)
        delimiter = guess_delimiter(text, kind)
        if (said := _DECLARED.match(text)) is not None:
            delimiter, text = said.group(1), text[said.end() :]
        for row in csv.reader(io.StringIO(text), delimiter=delimiter, skipinitialspace=delimiter != "\t"):
            cells += len(row)
            if cells > limits.max_cells:
                raise LimitError(
                    f"{source}: over {limits.max_cells:,} cells; split the file or raise parsing.max_cells"
                )
            rows.append(row)
        builder.title = source.stem
        for table in tables_of(rows):
            add_table(builder, table, wide=limits.wide_sheet_columns, level=1)
        return builder.build()


def guess_delimiter(text: str, kind: str) -> str:
    """The delimiter that cuts the first lines into the same number of cells, most cells winning."""
    if kind == "tsv":
        return "\t"
    lines = [line for line in text[:20_000].splitlines()[:20] if line.strip()]
    best, best_score = ",", 0.0
    for delimiter in _DELIMITERS:
        widths = [len(row) for row in csv.reader(lines, delimiter=delimiter)]
        if widths and (common := max(set(widths), key=widths.count)) > 1:
            score = widths.count(common) / len(widths) + common / 1000
            if score > best_score:
                best, best_score = delimiter, score
    return best
