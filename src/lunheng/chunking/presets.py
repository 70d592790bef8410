"""How large a chunk is, by domain: the one table of sizes.

Called by ``make_chunker`` and ``auto``. Three numbers meet: the domain's preset, ``chunking.size``
where the user sets it, and the embedder's window. The setting, where there is one, counts for every
domain instead of the preset; and nothing is ever larger than the window, since a model reads no
further than that and the rest of the chunk could not be found. A preset that the window lowers is
reported with the document.

Running text is cut to ``SHORT_WINDOW_SIZE`` tokens where its preset does not fit the window: 320 was
the best of the sizes measured for retrieval with the default embedder (window 512), better than to
fill the window. The presets of other domains are kept as far as the window goes: there a chunk is a
thing (an article, a function, a pair) and is cut only if it has to be.
"""

from __future__ import annotations

from dataclasses import dataclass

from lunheng.errors import ConfigError

WINDOW_MARGIN = 10
"""Tokens of the embedder's window left for special tokens and its instruction."""
SHORT_WINDOW_SIZE = 320
"""Tokens of a chunk of running text where the embedder's window does not hold the preset."""


@dataclass(frozen=True, slots=True)
class Preset:
    """The usual range of a chunk in one domain, in tokens; ``most`` is its cap."""

    domain: str
    least: int
    most: int


GENERAL = Preset("general", 500, 1000)
CODE = Preset("code", 200, 500)
PAPER = Preset("paper", 1000, 2000)
QA = Preset("qa", 100, 200)
LAW = Preset("law", 500, 800)
MEDICINE = Preset("medicine", 500, 1000)
PRESET_OF = {"code": CODE, "legal": LAW, "qa": QA, "medical": MEDICINE}
"""The preset of a strategy that is made for one domain; every other one cuts general text."""


@dataclass(frozen=True, slots=True)
class Size:
    """The cap that holds, and why it is not the preset's, where it is not."""

    tokens: int
    note: str = ""


def size_for(preset: Preset, given: int | None, window: int) -> Size:
    """The cap for a domain: ``given`` (``chunking.size``) or its preset, within the embedder's ``window``.

    Raises:
        ConfigError: the window is too small for any text.
    """
    if window < 2 * WINDOW_MARGIN + 6:
        raise ConfigError(f"the embedder's window of {window} tokens is too small to embed passages; use another")
    room = window - WINDOW_MARGIN
    if given is not None:
        return Size(min(given, room), f"chunking.size is {given}" + (f", lowered to {room}" if given > room else ""))
    if preset.most <= room:
        return Size(preset.most)
    lowered = f"the preset of {preset.most} does not fit the embedder's window of {window}"
    if preset is GENERAL:
        return Size(min(SHORT_WINDOW_SIZE, room), lowered)
    return Size(room, lowered)
