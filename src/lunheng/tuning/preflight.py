"""What a run would learn, looked at before it starts: the rendered loss mask, and the rows that teach nothing.

Called by the trainers and by ``lunheng tune check --model``. What is of no use goes to quarantine with its reason.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, ParamSpec, Protocol, TypeVar

from lunheng.errors import DataError
from lunheng.tuning.data.examples import Conversation, Example, Judged, Origin, Preference, Problem, Turn
from lunheng.tuning.messages import ChatTokenizer
from lunheng.tuning.rendering import IGNORED, Answered, Rendered, render, render_answer


class HasLength(Protocol):
    """A row of any method."""

    @property
    def length(self) -> int: ...


Row = TypeVar("Row", bound=HasLength)
Made = TypeVar("Made")
P = ParamSpec("P")
FAILING = ("truncated", "no stop token")
"""What a run only reports, and what the pre-flight fails on."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A prompt with a better and a worse answer."""

    chosen: Answered
    rejected: Answered
    """Its prompt is the same."""
    margin: float | None = None

    @property
    def length(self) -> int:
        """Tokens of the longer answer with its prompt."""
        return max(self.chosen.length, self.rejected.length)


@dataclass(frozen=True, slots=True)
class Thumb:
    """A prompt with an answer that is good or bad."""

    answer: Answered
    good: bool

    @property
    def length(self) -> int:
        """Tokens in all."""
        return self.answer.length


@dataclass(frozen=True, slots=True)
class Prepared(Generic[Row]):
    """What is trained on."""

    rows: tuple[Row, ...]
    problems: tuple[Problem, ...]
    tokens: int
    learnt: int
    """Tokens that count in the loss."""
    examples: int
    """How many examples the rows are of: fewer than rows where the template rewrites earlier turns."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One rendered text of an example, with what of it is learnt."""

    origin: Origin
    part: str
    """conversation, chosen, rejected, good answer or bad answer."""
    runs: tuple[tuple[str, bool], ...]
    """(text, learnt) of each run of tokens."""


@dataclass(frozen=True, slots=True)
class Look:
    """What the pre-flight has found."""

    shown: tuple[Shown, ...]
    problems: tuple[Problem, ...]
    tokens: int
    learnt: int


def prepare(
    tokenizer: ChatTokenizer, examples: Sequence[Conversation], window: int, too_long: str
) -> Prepared[Rendered]:
    """Render ``examples``; over the window they are cut, dropped or refused as ``too_long`` says.

    Raises:
        DataError: one is over the window, and that is refused.
    """
    rows: list[Rendered] = []
    problems: list[Problem] = []
    count = 0
    for example in examples:
        made = _rendered(problems, example.origin, render, tokenizer, example.origin, example.turns, example.tools)
        if made is None:
            continue
        found: list[Problem] = []
        kept = [row for row in (_cut(tokenizer, found, row, window, too_long) for row in made) if row is not None]
        rows += kept
        # A line of which some turns are learnt is of use.
        problems += [dataclasses.replace(p, fatal=p.fatal and not kept) for p in found]
        count += bool(kept)
        if not made:
            problems.append(_nothing_learnt(example.origin))
    tokens = sum(row.length for row in rows)
    return Prepared(tuple(rows), _once(problems), tokens, sum(row.learnt for row in rows), count)


def prepare_pairs(
    tokenizer: ChatTokenizer, examples: Sequence[Preference], window: int, too_long: str
) -> Prepared[Pair]:
    """The same for preferences; a cut never takes an answer away whole, nor the difference of the two.

    Raises:
        DataError: as ``prepare``.
    """
    rows: list[Pair] = []
    problems: list[Problem] = []
    for example in examples:
        both = [
            _fitted(tokenizer, problems, example, answer, window, too_long)
            for answer in (example.chosen, example.rejected)
        ]
        if both[0] is None or both[1] is None:
            continue
        chosen, rejected = _one_prompt(both[0], both[1])
        if chosen.answer == rejected.answer:
            message = "chosen and rejected are the same to the model: nothing can be learnt from them"
            problems.append(Problem(example.origin, "same answers", message))
            continue
        rows.append(Pair(chosen, rejected, example.margin))
    answers = [answer for row in rows for answer in (row.chosen, row.rejected)]
    return Prepared(tuple(rows), _once(problems), *_sizes(answers), len(rows))


def prepare_thumbs(tokenizer: ChatTokenizer, examples: Sequence[Judged], window: int, too_long: str) -> Prepared[Thumb]:
    """The same for judged answers.

    Raises:
        DataError: as ``prepare``.
    """
    rows: list[Thumb] = []
    problems: list[Problem] = []
    for example in examples:
        row = _fitted(tokenizer, problems, example, example.completion, window, too_long)
        if row is not None:
            rows.append(Thumb(row, example.good))
    return Prepared(tuple(rows), tuple(problems), *_sizes([row.answer for row in rows]), len(rows))


def look(tokenizer: ChatTokenizer, examples: Sequence[Example], window: int, first: int = 3) -> Look:
    """Render everything that is learnt by a chat template; show the ``first`` of each kind.

    What a run would only report (an answer that was cut off, one that does not end with a token to stop at) is a
    fatal problem here. Raw text, prompts and triples have no mask: they are passed over.
    """
    conversations = prepare(tokenizer, [e for e in examples if isinstance(e, Conversation)], window, "truncate")
    pairs = prepare_pairs(tokenizer, [e for e in examples if isinstance(e, Preference)], window, "truncate")
    thumbs = prepare_thumbs(tokenizer, [e for e in examples if isinstance(e, Judged)], window, "truncate")
    shown = [("conversation", row) for row in conversations.rows[:first]]
    for pair in pairs.rows[:first]:
        shown += [("chosen", pair.chosen.rendered), ("rejected", pair.rejected.rendered)]
    shown += [("good answer" if thumb.good else "bad answer", thumb.answer.rendered) for thumb in thumbs.rows[:first]]
    found = (conversations, pairs, thumbs)
    return Look(
        tuple(Shown(row.origin, part, tuple(shown_mask(tokenizer, row))) for part, row in shown),
        tuple(
            dataclasses.replace(p, fatal=p.fatal or p.kind in FAILING) for prepared in found for p in prepared.problems
        ),
        sum(prepared.tokens for prepared in found),
        sum(prepared.learnt for prepared in found),
    )


def ends_learnt(tokenizer: ChatTokenizer, row: Rendered) -> bool:
    """Whether the model learns to stop: the last thing learnt is a token of the template's, not of the answer's."""
    learnt = [label for label in row.labels if label != IGNORED]
    return bool(learnt) and (
        learnt[-1] == tokenizer.eos_token_id
        or learnt[-1] in tokenizer.all_special_ids
        or learnt[-1] in tokenizer.added_tokens_decoder
    )


def shown_mask(tokenizer: ChatTokenizer, row: Rendered) -> list[tuple[str, bool]]:
    """(text, learnt) of each run of tokens: what the pre-flight prints in two colours."""
    runs: list[tuple[list[int], bool]] = []
    for token, label in zip(row.input_ids, row.labels, strict=True):
        learnt = label != IGNORED
        if not runs or runs[-1][1] != learnt:
            runs.append(([], learnt))
        runs[-1][0].append(token)
    return [(str(tokenizer.decode(ids)), learnt) for ids, learnt in runs]


def _cut(
    tokenizer: ChatTokenizer, problems: list[Problem], row: Rendered, window: int, too_long: str
) -> Rendered | None:
    """A row in the window, or None, and why not."""
    if row.length > window:
        if not _may_cut(problems, row.origin, row.length, window, too_long):
            return None
        row = Rendered(row.origin, row.input_ids[:window], row.labels[:window])
    elif row.learnt and not ends_learnt(tokenizer, row):
        problems.append(_no_stop(row.origin))
    if not row.learnt:
        problems.append(_nothing_learnt(row.origin))
        return None
    return row


def _fitted(
    tokenizer: ChatTokenizer,
    problems: list[Problem],
    example: Preference | Judged,
    answer: Sequence[Turn],
    window: int,
    too_long: str,
) -> Answered | None:
    """A prompt and its answer in the window, or None, and why not."""
    origin = example.origin
    row = _rendered(problems, origin, render_answer, tokenizer, origin, example.prompt, answer, example.tools)
    if row is None:
        return None
    if not row.answer:
        problems.append(Problem(origin, "nothing learnt", "the chat template writes nothing of the answer"))
        return None
    if row.length > window:
        room = window - len(row.prompt)
        if too_long != "refuse" and room < 1:
            message = f"its prompt alone has {len(row.prompt):,} tokens: the window of {window:,} holds no answer"
            problems.append(Problem(origin, "prompt too long", message))
            return None
        if not _may_cut(problems, origin, row.length, window, too_long):
            return None
        return dataclasses.replace(row, answer=row.answer[:room])
    if not ends_learnt(tokenizer, row.rendered):
        problems.append(_no_stop(origin))
    return row


def _one_prompt(chosen: Answered, rejected: Answered) -> tuple[Answered, Answered]:
    """Both with the prompt that they share: where a token crosses the border, the prompts may end apart."""
    both = zip(chosen.prompt, rejected.prompt, strict=False)
    apart = next((place for place, (one, other) in enumerate(both) if one != other), None)
    shared = min(len(chosen.prompt), len(rejected.prompt)) if apart is None else apart
    return tuple(  # type: ignore[return-value]
        dataclasses.replace(a, prompt=a.prompt[:shared], answer=a.prompt[shared:] + a.answer)
        for a in (chosen, rejected)
    )


def _rendered(
    problems: list[Problem], origin: Origin, make: Callable[P, Made], *args: P.args, **options: P.kwargs
) -> Made | None:
    """What ``make`` gives, or None where the template refuses it."""
    try:
        return make(*args, **options)
    except DataError as error:
        problems.append(Problem(origin, "template", str(error).removeprefix(f"{origin}: ")))
        return None


def _may_cut(problems: list[Problem], origin: Origin, length: int, window: int, too_long: str) -> bool:
    """Whether a row over the window is cut; the problems say what becomes of it."""
    over = f"{length:,} tokens, over the window of {window:,}"
    if too_long == "refuse":
        raise DataError(f'{origin}: {over}; raise data.window, or say data.too_long = "truncate" or "drop"')
    if too_long == "drop":
        problems.append(Problem(origin, "too long", f"{over}: left out"))
        return False
    problems.append(Problem(origin, "truncated", f"{over}: its end was cut off", fatal=False))
    return True


def _no_stop(origin: Origin) -> Problem:
    message = "an answer of it ends without a token to stop at: a model that learns it goes on for ever"
    return Problem(origin, "no stop token", message, fatal=False)


def _nothing_learnt(origin: Origin) -> Problem:
    return Problem(origin, "nothing learnt", "no token of it counts in the loss")


def _once(problems: Sequence[Problem]) -> tuple[Problem, ...]:
    """Both answers of a pair, and all rows of a conversation, may have the same trouble."""
    kinds: dict[tuple[Origin, str], Problem] = {}
    for problem in problems:
        kinds.setdefault((problem.origin, problem.kind), problem)
    return tuple(kinds.values())


def _sizes(rows: Sequence[Answered]) -> tuple[int, int]:
    """Tokens, and those that count in the loss."""
    return sum(row.length for row in rows), sum(len(row.answer) for row in rows)
