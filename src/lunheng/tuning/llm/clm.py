"""Continued pre-training on running text, packed into full windows. Called by ``methods``.

Documents follow one another with an end of text between them, and fill every window to its last token; one that does
not fit goes on in the next, so that nothing is cut off or padded. By default each document sees itself alone: its
positions begin anew and attention stops at its border, since what stands before it by chance is noise to it (Zhao et
al. 2024). Tokens go to the disk as they are made and are mapped from there: they never stand in memory.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lunheng.errors import ConfigError
from lunheng.tuning.arguments import arguments
from lunheng.tuning.data.examples import Example, RawText
from lunheng.tuning.modes import trainable
from lunheng.tuning.on_disk import write_rows
from lunheng.tuning.recipes import Recipe
from lunheng.tuning.rendering import IGNORED
from lunheng.tuning.resuming import Resume
from lunheng.tuning.run import Trained, begin

if TYPE_CHECKING:
    from lunheng.tuning.callbacks import Report

READ_BY_PARAGRAPHS = (".txt", ".md")
"""Files whose examples are the paragraphs of one document."""
AT_A_TIME = 256
"""Texts that are tokenised together."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a document's text."""

    text: str
    begins: bool
    ends: bool


def clm(recipe: Recipe, resume: Resume = False, report: Report | None = None) -> Trained:
    """Train on running text; see ``methods.train``.

    Raises:
        ConfigError: the tokenizer has no end of text.
    """
    run = begin(recipe, resume, report)
    import transformers

    from lunheng.tuning.llm.trainers import TextTrainer, quiet

    tokenizer = run.tokenizer()
    if tokenizer.eos_token_id is None:
        raise ConfigError(
            f"model.name: the tokenizer of {recipe.model.name} has no end of text to set between documents"
        )
    folder = run.tokens
    try:
        with quiet():
            training = on_disk(tokenizer, run.training, recipe.data.window, folder / "train.arrow", report)
            held = on_disk(tokenizer, run.held, recipe.data.window, folder / "held.arrow") if run.held else None
        run.settle()
        recipe = run.recipe
        settings = arguments(
            recipe, transformers.TrainingArguments, len(training), held=bool(held), remove_unused_columns=False
        )
        trainer = TextTrainer(
            model=trainable(run, tokenizer, settings.max_steps),
            args=settings,
            processing_class=tokenizer,
            train_dataset=training,
            eval_dataset=held,
            data_collator=collator(tokenizer.pad_token_id, recipe.data.across_documents),
        )
        return run.train(trainer)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def pieces(examples: Sequence[Example]) -> Iterator[Piece]:
    """The documents, in order: each example one, but paragraphs of one file together, an empty line between."""
    texts = [e for e in examples if isinstance(e, RawText)]
    for number, text in enumerate(texts):
        begins = number == 0 or not _goes_on(texts[number - 1], text)
        ends = number + 1 == len(texts) or not _goes_on(text, texts[number + 1])
        yield Piece(text.text if ends else text.text + "\n\n", begins, ends)


def _goes_on(one: RawText, other: RawText) -> bool:
    """Whether ``other`` is a later paragraph of the same document."""
    same = one.origin.source == other.origin.source and one.origin.line < other.origin.line
    return same and Path(one.origin.source).suffix.lower() in READ_BY_PARAGRAPHS


def tokens(tokenizer: Any, texts: Iterable[Piece]) -> Iterator[tuple[list[int], bool]]:
    """(ids, whether a document ends with them), with the model's own beginning of text and end of text."""
    tried = tokenizer("a")["input_ids"]
    first = [tokenizer.bos_token_id] if tried and tried[0] == tokenizer.bos_token_id else []
    stream = iter(texts)
    while some := list(itertools.islice(stream, AT_A_TIME)):
        many = tokenizer([piece.text for piece in some], add_special_tokens=False)["input_ids"]
        for piece, ids in zip(some, many, strict=True):
            yield (
                [*(first if piece.begins else ()), *ids, *((tokenizer.eos_token_id,) if piece.ends else ())],
                piece.ends,
            )


def windows(stream: Iterable[tuple[list[int], bool]], window: int) -> Iterator[dict[str, list[int]]]:
    """Full windows of the stream (the last one may be shorter), with the lengths of the documents' parts in each."""
    ids: list[int] = []
    lengths: list[int] = [0]
    for made, ends in stream:
        place = 0
        while place < len(made):
            part = made[place : place + window - len(ids)]
            ids += part
            lengths[-1] += len(part)
            place += len(part)
            if len(ids) == window:
                yield {"input_ids": ids, "lengths": [n for n in lengths if n]}
                ids, lengths = [], [0]
        if ends and lengths[-1]:
            lengths.append(0)
    if len(ids) > 1:  # of one token, nothing can be predicted
        yield {"input_ids": ids, "lengths": [n for n in lengths if n]}


def on_disk(tokenizer: Any, examples: Sequence[Example], window: int, path: Path, report: Report | None = None) -> Any:
    """The windows of ``examples``, written to ``path`` and mapped from there."""
    seen = _told(pieces(examples), len(examples), report)
    rows = windows(tokens(tokenizer, seen), window)
    return write_rows(rows, {"input_ids": "ids", "lengths": "ids"}, path)


def _told(stream: Iterator[Piece], total: int, report: Report | None) -> Iterator[Piece]:
    for number, piece in enumerate(stream, start=1):
        if report and number % (16 * AT_A_TIME) == 0:
            report(number, total, "tokenising")
        yield piece


def collator(pad: int, across: bool) -> Callable[[Sequence[dict[str, Any]]], dict[str, Any]]:
    """Rows to a batch.

    Args:
        across: whether a document sees what stands before it in its window.
    """

    def together(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        import torch

        width = max(len(row["input_ids"]) for row in rows)
        batch: dict[str, list[list[int]]] = {"input_ids": [], "labels": [], "position_ids": []}
        for row in rows:
            ids, padding = list(row["input_ids"]), width - len(row["input_ids"])
            lengths = ([len(ids)] if across else list(row["lengths"])) + ([padding] if padding else [])
            positions = [place for length in lengths for place in range(length)]
            # Nothing tells what a document begins with: that is not learnt from the one before.
            labels = [token if place else IGNORED for token, place in zip(ids, positions, strict=False)]
            batch["input_ids"].append(ids + [pad] * padding)
            batch["labels"].append(labels + [IGNORED] * padding)
            batch["position_ids"].append(positions)
        return {name: torch.tensor(values) for name, values in batch.items()}

    return together
