"""What a run would learn, looked at before it starts: the rendered loss mask, and the rows that teach nothing.

Called by the trainers and by ``lunheng tune check --model``. What is of no use goes to quarantine with its reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lunheng.errors import DataError
from lunheng.tuning.data.examples import Conversation, Problem
from lunheng.tuning.rendering import IGNORED, ChatTokenizer, Rendered, render


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is trained on."""

    rows: tuple[Rendered, ...]
    problems: tuple[Problem, ...]
    tokens: int
    learnt: int
    """Tokens that count in the loss."""


def prepare(tokenizer: ChatTokenizer, examples: Sequence[Conversation], window: int, too_long: str) -> Prepared:
    """Render ``examples``; over the window they are cut, dropped or refused as ``too_long`` says.

    Raises:
        DataError: one is over the window and that is refused, or nothing is left to learn.
    """
    rows: list[Rendered] = []
    problems: list[Problem] = []
    for example in examples:
        try:
            row = render(tokenizer, example.origin, example.turns, example.tools)
        except DataError as error:
            problems.append(Problem(example.origin, "template", str(error).removeprefix(f"{example.origin}: ")))
            continue
        length = len(row.input_ids)
        if length > window:
            over = f"{length:,} tokens, over the window of {window:,}"
            if too_long == "refuse":
                raise DataError(
                    f'{example.origin}: {over}; raise data.window, or say data.too_long = "truncate" or "drop"'
                )
            if too_long == "drop":
                problems.append(Problem(example.origin, "too long", f"{over}: left out"))
                continue
            cut = Rendered(row.origin, row.input_ids[:window], row.labels[:window])
            problems.append(Problem(example.origin, "truncated", f"{over}: its end was cut off", fatal=False))
            row = cut
        if not row.learnt:
            problems.append(Problem(example.origin, "nothing learnt", "no token of it counts in the loss"))
            continue
        rows.append(row)
    if not rows:
        first = f"; the first: {problems[0].origin}: {problems[0].message}" if problems else ""
        raise DataError(f"no example is left to learn from{first}")
    return Prepared(tuple(rows), tuple(problems), sum(len(r.input_ids) for r in rows), sum(r.learnt for r in rows))


def ends_learnt(tokenizer: ChatTokenizer, row: Rendered) -> bool:
    """Whether the model learns to stop: an end token is the last thing learnt."""
    learnt = [label for label in row.labels if label != IGNORED]
    last = tokenizer.decode([learnt[-1]]) if learnt else ""
    return bool(learnt) and (learnt[-1] == tokenizer.eos_token_id or (last.startswith("<") and last.endswith(">")))


def shown_mask(tokenizer: ChatTokenizer, row: Rendered) -> list[tuple[str, bool]]:
    """(text, learnt) of each run of tokens: what the pre-flight prints in two colours."""
    runs: list[tuple[list[int], bool]] = []
    for token, label in zip(row.input_ids, row.labels, strict=True):
        learnt = label != IGNORED
        if not runs or runs[-1][1] != learnt:
            runs.append(([], learnt))
        runs[-1][0].append(token)
    return [(str(tokenizer.decode(ids)), learnt) for ids, learnt in runs]
