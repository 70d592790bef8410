"""What is wrong with training data, before a model sees it: by line number, nothing dropped without being counted.

Called by ``lunheng tune check``. A run leaves out by itself what cannot be read, rendered or told from its evaluation
set (``formats``, ``preflight``, ``leaks``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lunheng.text.language import detect_language
from lunheng.tuning.data.examples import Example, Problem, RawText, Triple, question_of, text_of
from lunheng.tuning.data.leaks import leaks
from lunheng.tuning.data.privacy import personal_data
from lunheng.tuning.data.similarity import key_of, near_pairs

BINS = (32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768)


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long the examples are, in tokens."""

    histogram: tuple[tuple[int, int], ...]
    """(upper end of the bin, how many), those without any left out; the last bin is open."""
    median: float
    p95: float
    longest: int
    window: int | None
    over: int
    """How many exceed the window."""
    lost: float
    """The share of all tokens that would be cut off, in [0, 1]."""


@dataclass(frozen=True, slots=True)
class Report:
    """What ``lunheng tune check`` prints."""

    examples: int
    kinds: Mapping[str, int]
    problems: tuple[Problem, ...]
    languages: Mapping[str, int]
    lengths: Lengths
    digest: str

    @property
    def fatal(self) -> int:
        """Lines that are of no use."""
        return sum(p.fatal for p in self.problems)

    @property
    def counts(self) -> Mapping[str, int]:
        """Problems by kind."""
        return Counter(p.kind for p in self.problems)


def check(
    examples: Sequence[Example],
    problems: Sequence[Problem],
    digest: str,
    count: Callable[[str], int],
    window: int | None = None,
    evaluation: Sequence[Example] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Judge ``examples``; ``problems`` are those that reading them found already.

    Args:
        count: tokens of a text, by the model's own tokenizer where there is one.
        window: the tokens that training keeps of an example.
        evaluation: the set that training must not have seen.
    """
    texts = [text_of(e) for e in examples]
    lengths = np.zeros(len(texts), np.int64)
    for index, text in enumerate(texts):
        lengths[index] = count(text)
        if progress and index % 100 == 99:
            progress(index + 1, len(texts))
    found = [*problems, *_duplicates(examples, texts), *_too_long(examples, lengths, window)]
    found += leaks(examples, evaluation)
    found += [
        Problem(e.origin, "personal data", f"{kind} {shown}", fatal=False)
        for e, text in zip(examples, texts, strict=True)
        for kind, shown in dict.fromkeys(personal_data(text))
    ]
    found.sort(key=lambda p: (p.origin.source, p.origin.line))
    return Report(
        len(examples),
        Counter(type(e).__name__.lower() for e in examples),
        tuple(dict.fromkeys(found)),
        Counter(detect_language(text) for text in texts),
        _lengths(lengths, window),
        digest,
    )


def _duplicates(examples: Sequence[Example], texts: Sequence[str]) -> list[Problem]:
    """Each later copy of an example, with the first."""
    first: dict[str, int] = {}
    found: list[Problem] = []
    fresh: list[int] = []
    for index, text in enumerate(texts):
        before = first.setdefault(key_of(text), index)
        if before == index:
            fresh.append(index)
        elif examples[before].origin != examples[index].origin:  # a weight takes a line more than once
            found.append(
                Problem(examples[index].origin, "duplicate", f"the same as {examples[before].origin}", fatal=False)
            )
    later: set[int] = set()
    # Several questions of one passage are no duplicates, though most of their triples' text is the same.
    compared = [question_of(examples[k]) if isinstance(examples[k], Triple) else texts[k] for k in fresh]
    for i, j, similarity in near_pairs(compared):
        if fresh[j] not in later:
            later.add(fresh[j])
            message = f"nearly the same as {examples[fresh[i]].origin} ({similarity:.0%})"
            found.append(Problem(examples[fresh[j]].origin, "near duplicate", message, fatal=False))
    return found


def _too_long(examples: Sequence[Example], lengths: NDArray[np.int64], window: int | None) -> list[Problem]:
    if window is None:
        return []
    return [
        Problem(
            e.origin, "too long", f"{length:,} tokens, {length - window:,} over the window of {window:,}", fatal=False
        )
        for e, length in zip(examples, lengths.tolist(), strict=True)
        if length > window and not isinstance(e, RawText)  # running text is packed, not cut off
    ]


def _lengths(lengths: NDArray[np.int64], window: int | None) -> Lengths:
    if not lengths.size:
        return Lengths((), 0.0, 0.0, 0, window, 0, 0.0)
    places = np.searchsorted(BINS, lengths)
    counted = Counter(places.tolist())
    histogram = tuple((BINS[min(p, len(BINS) - 1)], counted[p]) for p in sorted(counted))
    over = np.maximum(lengths - window, 0) if window is not None else np.zeros_like(lengths)
    return Lengths(
        histogram,
        float(np.median(lengths)),
        float(np.percentile(lengths, 95)),
        int(lengths.max()),
        window,
        int((over > 0).sum()),
        float(over.sum() / max(int(lengths.sum()), 1)),
    )
