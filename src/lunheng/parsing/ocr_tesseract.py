"""tesseract: the program, by its TSV output. Called through ``ocr.open_engine``.

It is lighter than rapidocr (140 MB) and a little less sure of Chinese. Its language data are packages of their own,
so what is missing is named.
"""

from __future__ import annotations

import functools
import itertools
import os
import re
import subprocess
from collections import defaultdict
from dataclasses import dataclass
from statistics import median

from lunheng.errors import ParseError
from lunheng.parsing.ocr import OcrLine, Picture, stacked
from lunheng.parsing.ocr_rules import without_rules
from lunheng.parsing.pdf_glyphs import is_cjk

LANGUAGES = ("chi_sim", "eng")
"""In this order: with English first it takes some Chinese lines for noise."""
LONG_WORDS = 9.0
"""With Chinese first, in turn, it runs the words of some English lines together: more letters to a word than any text has."""
WIDE_GAP = 1.0
"""Words so far apart, in line heights, stand in two columns or cells."""
SECONDS = 120.0
"""No page takes so long."""
DOUBTFUL = 0.85
"""Lines that are read right have more confidence: others are read again by themselves, in one language alone."""
HOPELESS = 0.55
"""A page with less stands on its head, or has no text."""
RULE_LENGTH, RULE_THICKNESS = 150, 12
"""In pixels, at 200 dpi: no stroke of a letter in a text is as long."""
WHOLE_PAGE, ONE_BLOCK = "3", "6"
"""Its modes of layout."""
_BETWEEN_CHINESE = re.compile(r"(?<=[\u3400-\u9fff]) ?([;:?!]) ?(?=[\u3400-\u9fff])")
"""It takes the marks of Chinese sentences for the narrow ones."""
_OPENING = re.compile(r"(?<=[\u3000-\u303f\u3400-\u9fff]) \( ?")
_CLOSING = re.compile(r"(?<=\S) \) ?(?=[\u3000-\u303f\u3400-\u9fff\uff00-\uffef])|(?<=[\u3400-\u9fff]) \)")
"""And the wide brackets too: narrow ones do not stand apart."""
WORD = "5"
"""The level of words in its TSV."""


@dataclass(frozen=True, slots=True)
class _Word:
    text: str
    x0: float
    top: float
    x1: float
    bottom: float
    confidence: float


class TesseractEngine:
    """Chinese and English, as far as their data are installed."""

    def __init__(self) -> None:
        installed = _languages()
        self._languages = [name for name in LANGUAGES if name in installed]
        missing = [name for name in LANGUAGES if name not in installed]
        remedy = " ".join("tesseract-ocr-" + name.replace("_", "-") for name in missing)
        if not self._languages:
            raise ParseError(f"tesseract has data for none of {', '.join(LANGUAGES)}; run: apt install {remedy}")
        self.warnings: tuple[str, ...] = ()
        if missing:
            self.warnings = (f"tesseract reads without {', '.join(missing)} here; run: apt install {remedy}",)

    def read(self, picture: Picture) -> list[OcrLine]:
        """Raises ParseError where the program fails or hangs."""
        if min(picture.shape[:2]) < 8:
            return []
        picture = without_rules(picture, RULE_LENGTH, RULE_THICKNESS)
        lines = _read(picture, self._languages)
        if len(self._languages) < 2 or _confidence(lines) < HOPELESS:
            return lines
        english = [o for o in lines if _is_glued(o.text) or (o.confidence < DOUBTFUL and not any(map(is_cjk, o.text)))]
        lines = _read_again(picture, lines, english, "eng")
        if any(is_cjk(c) for line in lines for c in line.text):
            lines = _read_again(picture, lines, [line for line in lines if line.confidence < DOUBTFUL], "chi_sim")
        return lines


def _read_again(picture: Picture, lines: list[OcrLine], again: list[OcrLine], language: str) -> list[OcrLine]:
    """``lines``, those of ``again`` as read in one language alone where that is surer."""
    if not again:
        return lines
    strips = []
    for line in again:
        x0, top, x1, bottom = (int(v) for v in line.bbox)
        pad = (bottom - top) // 4 + 2
        strips.append(picture[max(top - pad, 0) : bottom + pad, max(x0 - pad, 0) : x1 + pad])
    sheet, places = stacked(strips)
    found = _read(sheet, [language], ONE_BLOCK)
    better = {}
    for line, (top, bottom) in zip(again, places, strict=True):
        parts = sorted((f for f in found if top <= (f.bbox[1] + f.bbox[3]) / 2 <= bottom), key=lambda f: f.bbox[0])
        if not parts:
            continue
        text = " ".join(part.text for part in parts)
        confidence = _confidence(parts)
        if confidence > line.confidence or _is_glued(line.text):
            better[id(line)] = OcrLine(text, line.bbox, confidence)
    return [better.get(id(line), line) for line in lines]


def _confidence(lines: list[OcrLine]) -> float:
    """By letters; 0 without any."""
    return sum(line.confidence * len(line.text) for line in lines) / max(sum(len(line.text) for line in lines), 1)


def _is_glued(text: str) -> bool:
    words = text.split()
    latin = not any(map(is_cjk, text))
    return latin and any(c.isalpha() for c in text) and sum(map(len, words)) > LONG_WORDS * len(words)


def _read(picture: Picture, languages: list[str], layout: str = WHOLE_PAGE) -> list[OcrLine]:
    height, width = picture.shape[:2]
    ppm = b"P6 %d %d 255\n" % (width, height) + picture.tobytes()
    out = _run("stdin", "stdout", "-l", "+".join(languages), "--psm", layout, "--dpi", "200", "tsv", given=ppm)
    rows: dict[tuple[str, ...], list[_Word]] = defaultdict(list)
    for row in out.splitlines()[1:]:
        fields = row.split("\t")
        if len(fields) == 12 and fields[0] == WORD and fields[11].strip():
            x, y, w, h = map(float, fields[6:10])
            rows[tuple(fields[1:5])].append(
                _Word(fields[11].strip(), x, y, x + w, y + h, max(float(fields[10]), 0.0) / 100)
            )
    return [line for words in rows.values() for line in _lines(words)]


def _lines(words: list[_Word]) -> list[OcrLine]:
    """The words of one row, cut where a gap is wide."""
    upright = sum(w.bottom - w.top for w in words) > 1.5 * sum(w.x1 - w.x0 for w in words) and len(words) > 1
    height = median(w.bottom - w.top for w in words)
    parts: list[list[_Word]] = [[words[0]]]
    for before, word in itertools.pairwise(words):
        # It gives Chinese characters boxes that are too narrow: the gap between two of them says less.
        wide = WIDE_GAP * height * (1.7 if is_cjk(before.text[-1]) and is_cjk(word.text[0]) else 1)
        if not upright and word.x0 - before.x1 > wide:
            parts.append([])
        parts[-1].append(word)
    return [_line(part) for part in parts]


def _line(words: list[_Word]) -> OcrLine:
    text = words[0].text
    for word in words[1:]:
        text += ("" if is_cjk(text[-1]) and is_cjk(word.text[0]) else " ") + word.text
    letters = sum(len(w.text) for w in words)
    # Some boxes are far too high (those of Chinese marks above all), and must not make the line higher.
    tops, bottoms = sorted(w.top for w in words), sorted(w.bottom for w in words)
    spare = (len(words) - 1) // 2 if 2 * sum(map(is_cjk, text)) > letters else len(words) // 4
    if bottoms[-1] - tops[0] > 1.5 * (max(w.x1 for w in words) - min(w.x0 for w in words)):
        spare = 0  # a line on its side
    return OcrLine(
        _with_wide_marks(text),
        (min(w.x0 for w in words), tops[spare], max(w.x1 for w in words), bottoms[-1 - spare]),
        sum(w.confidence * len(w.text) for w in words) / letters,
    )


def _with_wide_marks(text: str) -> str:
    text = _BETWEEN_CHINESE.sub(lambda mark: chr(ord(mark[1]) + 0xFEE0), text)
    return _CLOSING.sub("）", _OPENING.sub("（", text))


@functools.cache
def _languages() -> frozenset[str]:
    return frozenset(_run("--list-langs").split())


def _run(*arguments: str, given: bytes = b"") -> str:
    try:
        done = subprocess.run(
            ["tesseract", *arguments],
            input=given,
            capture_output=True,
            timeout=SECONDS,
            env={**os.environ, "OMP_THREAD_LIMIT": "1"},  # its own threads make it slower
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ParseError(
            f"the program tesseract failed ({error}); check its installation, or set parsing.ocr"
        ) from error
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise ParseError(
            f"the program tesseract failed ({said[-1] if said else done.returncode}); "
            "check its installation, or set parsing.ocr"
        )
    return done.stdout.decode("utf-8", "replace")
