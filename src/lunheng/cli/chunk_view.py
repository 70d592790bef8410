"""How chunks look in a terminal: the text with its boundaries, and strategies side by side.

Called by ``lunheng chunk``.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from rich.table import Table
from rich.text import Text

from lunheng.chunking.cut import Cut
from lunheng.cli.common import counted, out
from lunheng.types import Chunk, Document

_COLOURS = ("green", "yellow")
_BARS = " ▁▂▃▄▅▆▇█"
_BINS = 10


@dataclass(frozen=True, slots=True)
class Compared:
    """What one strategy made of a document; sizes in tokens, prefix included."""

    strategy: str
    chosen: str = ""
    """What ``auto`` chose."""
    reason: str = ""
    chunks: int = 0
    smallest: int = 0
    median: float = 0
    largest: int = 0
    total: int = 0
    """Tokens that are embedded: prefixes and overlaps count each time."""
    seconds: float = 0
    sizes: tuple[int, ...] = ()
    """Tokens of each chunk, in order."""
    warnings: tuple[str, ...] = ()
    error: str = ""
    """Why it could not run."""

    @classmethod
    def of(cls, name: str, cut: Cut, seconds: float) -> Compared:
        sizes = tuple(c.metadata.token_count for c in cut.chunks)
        return cls(
            name,
            cut.strategy,
            cut.reason,
            len(sizes),
            min(sizes, default=0),
            median(sizes) if sizes else 0,
            max(sizes, default=0),
            sum(sizes),
            round(seconds, 4),
            sizes,
            cut.notes,
        )


def histogram(sizes: tuple[int, ...], largest: int) -> str:
    """Ten bars: how many chunks have a tenth of ``largest`` tokens, two tenths, and so on."""
    counts = [0] * _BINS
    for size in sizes:
        counts[min(size * _BINS // max(largest + 1, 1), _BINS - 1)] += 1
    most = max(counts, default=0)
    # A bin with one chunk among many still shows.
    return "".join(_BARS[-(-count * (len(_BARS) - 1) // most)] if most else " " for count in counts)


def show_comparison(document: Document, compared: list[Compared]) -> None:
    """One line a strategy."""
    largest = max((c.largest for c in compared), default=0)
    table = Table(title=document.title, title_justify="left", box=None, pad_edge=False)
    table.add_column("strategy")
    for name in ("chunks", "min", "median", "max", "tokens", "ms"):
        table.add_column(name, justify="right")
    table.add_column(f"sizes, 0 to {largest}", no_wrap=True)
    for one in compared:
        label = Text(one.strategy + (f" → {one.chosen}" if one.chosen else ""))
        if one.error:
            table.add_row(label, *("-" * 6), Text(one.error, style="yellow"))
            continue
        numbers = (one.chunks, one.smallest, f"{one.median:g}", one.largest, one.total, f"{one.seconds * 1000:.0f}")
        table.add_row(label, *map(str, numbers), Text(f"│{histogram(one.sizes, largest)}│", style="cyan"))
    out.print(table)
    for one in compared:
        if one.reason:
            out.print(f"{one.strategy} → {one.chosen}: {one.reason}", markup=False)


def show_text(document: Document, chunks: list[Chunk]) -> None:
    """The whole text in alternating colours; what two chunks share is underlined, prefixes are dim."""
    for number, chunk in enumerate(chunks):
        metadata = chunk.metadata
        colour = _COLOURS[number % len(_COLOURS)]
        kind = "" if chunk.kind == "text" else f" {chunk.kind}"
        clause = f" {metadata.legal_clause_id}" if metadata.legal_clause_id else ""
        line = Text(f" {number} · {counted(metadata.token_count, 'token')}{kind}{clause} ", style=f"reverse {colour}")
        if chunk.prefix:
            line.append(" " + " ⏎ ".join(chunk.prefix.split("\n")), style="not reverse dim")
        out.print(line)
        shown_before = chunks[number - 1].end if number else 0
        shared_after = chunks[number + 1].start if number + 1 < len(chunks) else chunk.end
        text = Text()
        for start, end, style in (
            (chunk.start, min(shown_before, chunk.end), f"{colour} underline"),
            (max(chunk.start, shown_before), max(shared_after, shown_before), colour),
            (max(shared_after, shown_before, chunk.start), chunk.end, f"{colour} underline"),
        ):
            text.append(document.text[start : min(end, chunk.end)] if start < end else "", style=style)
        out.print(text)
