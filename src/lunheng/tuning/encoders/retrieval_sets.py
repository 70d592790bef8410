"""What an embedder or a reranker learns from and is measured on: triples, cut to the window, as questions and passages.

Called by ``embedder`` and ``reranker``.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from lunheng.config import cache_dir
from lunheng.errors import DataError
from lunheng.evaluation.datasets import Passage, Query, RetrievalDataset
from lunheng.protocols import Embedder, Vectors
from lunheng.tuning.data.examples import Example, Problem, Triple
from lunheng.tuning.data.splitting import split
from lunheng.types import EmbedKind, content_id

if TYPE_CHECKING:
    from lunheng.tuning.run import Run

VALIDATION_QUESTIONS, VALIDATION_PASSAGES = 150, 400
"""The most that is measured while training, to choose the best checkpoint: a minute's work, not the final measure."""
SPARE = 1_000
"""Passages of a knowledge base that negatives may be drawn from."""
DEPTH = 10
"""Of all measures."""
_SPECIAL = 4
"""Special tokens of a pair at the most."""


Corpus = Mapping[str, str]
"""The passages of a knowledge base: each text, as data quotes it, to what the models read of it."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """Triples whose texts all fit into the window."""

    triples: tuple[Triple, ...]
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Material:
    """All that a run needs of its data."""

    rows: tuple[Triple, ...]
    """Learnt from, each with as many negatives as the recipe says."""
    validation: RetrievalDataset
    """Measured while training, to choose a checkpoint."""
    held_out: RetrievalDataset
    """Measured at the end, seen by no choice."""


def material(
    run: Run, tokenizer: Any, window: int, prefixes: Sequence[str] | None, negatives: int, corpus: Corpus
) -> Material:
    """The data of ``run``, split by group; adds what was cut or drawn to its problems and warnings.

    The held-out questions are measured over all passages of the data and of ``corpus``, uncut.

    Args:
        prefixes: what stands before each text; None: question and passage share one window.
        corpus: more passages to be told from; those of the data that stand there are read as they stand there.

    Raises:
        DataError: nothing is held out, or nothing is left to learn.
    """
    data, seed = run.recipe.data, run.recipe.training.seed
    held = _as_read(run.held, corpus)
    if not held:
        groups = {t.group or t.query for t in run.training if isinstance(t, Triple)}
        cause = (
            f"all {len(run.training):,} examples are of one group" if len(groups) == 1 else "data.validation_share is 0"
        )
        raise DataError(f"nothing is held out, so that no lift could be told: {cause}; see data.evaluation too")
    learnt = _as_read(run.training, corpus)
    fitted = fit(tokenizer, learnt, window, data.too_long, prefixes)
    run.problems += fitted.problems
    cut = sum(p.kind == "truncated" for p in fitted.problems)
    if cut:
        run.warnings.append(f"of {cut:,} examples a text was cut at {window:,} tokens, as data.too_long says")
    training, validation = split(fitted.triples, data.validation_share or 0.05, seed + 1)
    rows, drawn = with_negatives(
        [t for t in training if isinstance(t, Triple)], negatives, seed, _spare(tokenizer, corpus, held, window, seed)
    )
    if drawn:
        run.warnings.append(f"{drawn:,} negatives were drawn at random: the data has fewer than {negatives} a question")
    chosen = [t for t in validation if isinstance(t, Triple)] or rows
    questions = VALIDATION_QUESTIONS
    if prefixes is None:  # a reranker reads each question with each of its own passages
        questions = VALIDATION_PASSAGES // DEPTH
        chosen, _ = with_negatives(chosen, DEPTH - 1, seed, [t.positive for t in rows], required=False)
    texts = [text for t in (*learnt, *held) for text in (t.positive, *t.negatives)]
    held_out = retrieval_set("held-out", held, [*texts, *corpus.values()])
    return Material(tuple(rows), validation_set(chosen, rows, seed, questions), held_out)


def _spare(tokenizer: Any, corpus: Corpus, held: Sequence[Triple], window: int, seed: int) -> list[str]:
    """Passages that no question of the data asks for, cut to half the window: for drawing negatives from."""
    kept_apart = {t.positive for t in held}
    others = [text for text in corpus.values() if text not in kept_apart]
    chosen = random.Random(seed).sample(others, min(SPARE, len(others)))
    return [_cut(tokenizer, text, window // 2) for text in chosen]


def _as_read(examples: Iterable[Example], corpus: Corpus) -> list[Triple]:
    """The triples with each passage as the models read it, with what stands before its text."""
    return [
        replace(
            t,
            positive=corpus.get(t.positive, t.positive),
            negatives=tuple(corpus.get(n, n) for n in t.negatives),
        )
        for t in examples
        if isinstance(t, Triple)
    ]


def fit(
    tokenizer: Any, examples: Iterable[Triple], window: int, too_long: str, prefixes: Sequence[str] | None
) -> Fitted:
    """Cut, drop or refuse what is over the window, as ``too_long`` says; each is counted.

    Args:
        prefixes: the longest of these stands before a text; None: a question and each passage share one window.

    Raises:
        DataError: a text is over the window and that is refused, or nothing is left.
    """
    longest = max((_length(tokenizer, prefix) for prefix in prefixes or ()), default=0)
    room = window - _SPECIAL - longest
    kept: list[Triple] = []
    problems: list[Problem] = []
    for triple in examples:
        texts = (triple.query, triple.positive, *triple.negatives)
        if prefixes is None:
            asked = _cut(tokenizer, triple.query, room // 2)
            left = room - _length(tokenizer, asked)
            cut = [asked, *(_cut(tokenizer, text, left) for text in texts[1:])]
        else:
            cut = [_cut(tokenizer, text, room) for text in texts]
        over = sum(a != b for a, b in zip(texts, cut, strict=True))
        if over:
            said = f"{over} of its {len(texts)} texts are over the window of {window:,} tokens"
            if too_long == "refuse":
                raise DataError(
                    f'{triple.origin}: {said}; raise data.window, or say data.too_long = "truncate" or "drop"'
                )
            if too_long == "drop":
                problems.append(Problem(triple.origin, "too long", f"{said}: left out"))
                continue
            problems.append(Problem(triple.origin, "truncated", f"{said}: their ends were cut off", fatal=False))
        kept.append(replace(triple, query=cut[0], positive=cut[1], negatives=tuple(cut[2:])))
    if not kept:
        raise DataError(f"no example is left to learn from; the first: {problems[0].origin}: {problems[0].message}")
    return Fitted(tuple(kept), tuple(problems))


def _length(tokenizer: Any, text: str) -> int:
    return len(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])


def _cut(tokenizer: Any, text: str, room: int) -> str:
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    spans = encoded["offset_mapping"]
    return text if len(spans) <= room else text[: spans[room - 1][1]]


def with_negatives(
    triples: Sequence[Triple], count: int, seed: int, spare: Sequence[str] = (), required: bool = True
) -> tuple[list[Triple], int]:
    """Each with ``count`` negatives, and how many of them had to be drawn: from the passages of other groups' questions,
    and from ``spare``.

    Args:
        required: whether fewer are an error.

    Raises:
        DataError: there are too few passages.
    """
    chance = random.Random(seed)
    answers: dict[str, set[str]] = {}
    for triple in triples:
        answers.setdefault(triple.query, set()).add(triple.positive)
    groups = dict.fromkeys(spare, "") | {t.positive: t.group for t in triples}
    pool = sorted(groups)
    drawn = 0
    made = []
    for triple in triples:
        right = answers[triple.query]
        negatives = [n for n in dict.fromkeys(triple.negatives) if n not in right][:count]
        for passage in _drawn(pool, chance) if len(negatives) < count else ():
            if passage in right or passage in negatives or (triple.group and groups[passage] == triple.group):
                continue
            negatives.append(passage)
            drawn += 1
            if len(negatives) == count:
                break
        if len(negatives) < count and required:
            raise DataError(
                f"{triple.origin}: {count} negatives are wanted of each question, and the data has too few passages; "
                "set fewer, or add data"
            )
        made.append(replace(triple, negatives=tuple(negatives)))
    return made, drawn


def _drawn(pool: Sequence[str], chance: random.Random) -> Iterator[str]:
    """A few of ``pool`` at random, and where these do not do, all in a random order."""
    yield from chance.sample(pool, min(len(pool), 50))
    yield from chance.sample(pool, len(pool))


def retrieval_set(name: str, triples: Iterable[Triple], corpus: Iterable[str] = ()) -> RetrievalDataset:
    """The questions of ``triples`` over all their passages and those of ``corpus``, each text once."""
    questions: dict[str, dict[str, int]] = {}
    passages: dict[str, str] = {}
    for triple in triples:
        for text in (triple.positive, *triple.negatives):
            passages.setdefault(text, f"p{len(passages)}")
        grades = questions.setdefault(triple.query, {})
        grades[passages[triple.positive]] = 1
        for text in triple.negatives:
            grades.setdefault(passages[text], 0)
    for text in corpus:
        passages.setdefault(text, f"p{len(passages)}")
    named = {f"q{n}": text for n, text in enumerate(questions)}
    return RetrievalDataset(
        name,
        tuple(Passage(id, "", text) for text, id in passages.items()),
        tuple(Query(id, text) for id, text in named.items()),
        {id: questions[text] for id, text in named.items()},
        content_id(*questions, *passages)[:16],
    )


def validation_set(triples: Sequence[Triple], others: Sequence[Triple], seed: int, questions: int) -> RetrievalDataset:
    """A small set of so many of ``triples``' questions at the most, with passages of ``others`` between theirs."""
    chance = random.Random(seed)
    asked = sorted({t.query for t in triples})
    chosen = set(chance.sample(asked, min(questions, len(asked))))
    mine = [t for t in triples if t.query in chosen]
    own = {text for t in mine for text in (t.positive, *t.negatives)}
    pool = sorted({t.positive for t in (*triples, *others)} - own)
    more = chance.sample(pool, min(max(VALIDATION_PASSAGES - len(own), 0), len(pool)))
    return retrieval_set("validation", mine, more)


Candidates = Mapping[str, list[str]]
"""Ids of passages by id of the question, best first."""


class Embeds(Protocol):
    """What is asked of an embedder here."""

    def embed(self, texts: Sequence[str], kind: EmbedKind) -> Vectors: ...


def known_nearest(embedder: Embedder, dataset: RetrievalDataset, count: int) -> dict[str, list[str]]:
    """``nearest``, kept in the cache by the embedder and the set: what is trained anew and anew is trained from one."""
    named = content_id(embedder.fingerprint, dataset.digest, str(count))
    path = cache_dir() / "rankings" / f"{named[:24]}.json"
    if path.is_file():
        with contextlib.suppress(ValueError):  # cut off by a full disk or a kill: it is made again
            known: dict[str, list[str]] = json.loads(path.read_text(encoding="utf-8"))
            return known
    found = nearest(embedder, dataset, count)
    path.parent.mkdir(parents=True, exist_ok=True)
    making = path.with_suffix(f".{os.getpid()}.part")
    making.write_text(json.dumps(found), encoding="utf-8")
    making.replace(path)
    return found


def nearest(embedder: Embeds, dataset: RetrievalDataset, count: int) -> dict[str, list[str]]:
    """The ``count`` passages of ``dataset`` nearest to each question, by id, best first."""
    passages = embedder.embed([p.full_text for p in dataset.passages], "passage")
    questions = embedder.embed([q.text for q in dataset.queries], "query")
    found: dict[str, list[str]] = {}
    for query, vector in zip(dataset.queries, questions, strict=True):
        order = np.argsort(-(passages @ vector), kind="stable")[:count]
        found[query.id] = [dataset.passages[i].id for i in order.tolist()]
    return found


def longest(tokenizer: Any, rows: Sequence[Triple], window: int, *, together: bool) -> int:
    """Tokens of the longest text of ``rows``, or of the longest question with a passage where they are read together."""

    def most(texts: Iterable[str]) -> int:
        return max(
            (len(ids) for ids in tokenizer(list(texts), truncation=True, max_length=window)["input_ids"]), default=1
        )

    questions = most(dict.fromkeys(t.query for t in rows))
    passages = most(dict.fromkeys(text for t in rows for text in (t.positive, *t.negatives)))
    return min(questions + passages, window) if together else max(questions, passages)
