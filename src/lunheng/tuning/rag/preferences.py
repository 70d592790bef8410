"""Better and worse answers to one question, with where each judgement comes from: rows that wait for review.

Called by ``lunheng tune data preferences``. Three sources: two models' answers weighed by a judge; drafts of ``ask`` of which
the check against the sources supported one and rejected another; and what users said (``feedback``). A row becomes
training data by review: it is written with ``reviewed: false``, and ``take_reviewed`` takes those where a person has set
it to true.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lunheng.answering.prompts import is_refusal
from lunheng.answering.verification import overall
from lunheng.errors import DataError
from lunheng.evaluation.model.pairwise import compare
from lunheng.protocols import LLM
from lunheng.tuning.data.similarity import key_of
from lunheng.tuning.rag.journal import Journal, Outcome, Rejected, Row, Written, in_seeded_order
from lunheng.types import Answer, Verdict, content_id

Progress = Callable[[int, int], None]
Messages = list[dict[str, str]]
SAME = "both answers are the same"


@dataclass(frozen=True, slots=True)
class Draft:
    """An answer as the model wrote it, with what it was asked and what the check made of it."""

    prompt: Messages
    text: str
    verdict: Verdict


def preference_row(
    prompt: Messages, chosen: str, rejected: str, question: str, provenance: Mapping[str, Any], group: str = ""
) -> Row:
    """A row in the form of preference data, waiting for review."""
    return {
        "prompt": prompt,
        "chosen": chosen,
        "rejected": rejected,
        "question": question,
        "group": group or content_id(key_of(question)),
        "reviewed": False,
        "provenance": dict(provenance),
    }


def judged_pairs(
    pairs: Mapping[str, tuple[str, str]],
    names: tuple[str, str],
    judge: LLM,
    output: Path,
    seed: int = 0,
    limit: int | None = None,
    progress: Progress | None = None,
) -> Written:
    """Weigh two models' answers to each question, with swapped places; only a verdict given both ways is a row.

    Args:
        pairs: by question, the answers of the models that ``names`` names.

    Raises:
        DataError: the output was begun with other settings.
        ModelError: the judge cannot be asked.
    """

    def weigh(question: str) -> Outcome:
        one, other = pairs[question]
        about = {"question": question, names[0]: one, names[1]: other}
        if key_of(one) == key_of(other):
            return Outcome(rejected=[Rejected(SAME, about)])
        winner, same = compare(judge, question, one, other)
        if winner is None:
            return Outcome(rejected=[Rejected("the judge gave no verdict that can be read", about)])
        if not same:
            return Outcome(rejected=[Rejected("the judge changed its mind when the answers were swapped", about)])
        if winner == "tie":
            return Outcome(rejected=[Rejected("the judge finds them equally good", about)])
        better, worse, name = (one, other, names[0]) if winner == "model" else (other, one, names[1])
        provenance = {
            "source": "judge",
            "judge": judge.fingerprint,
            "swapped": True,
            "chosen_by": name,
            "answers_of": list(names),
        }
        row = preference_row([{"role": "user", "content": question}], better, worse, question, provenance)
        return Outcome([row], counts={f"wins of {name}": 1})

    depends_on = {"what": "judged preferences", "answers_of": list(names), "judge": judge.fingerprint, "seed": seed}
    return _each(in_seeded_order(list(pairs), seed)[:limit], weigh, output, depends_on, progress)


def verified_pairs(
    questions: Sequence[str],
    ask: Callable[[str], Answer],
    draws: int,
    answered_by: str,
    output: Path,
    seed: int = 0,
    limit: int | None = None,
    progress: Progress | None = None,
) -> Written:
    """Ask each question ``draws`` times; what the check supported beats what it rejected.

    Args:
        ask: answers from the documents with a trace, each time anew.
        answered_by: what the answers depend on, as the model's fingerprint and the temperature.

    Raises:
        DataError: the output was begun with other settings.
        ModelError: the model failed; what was made until then is kept.
    """

    def weigh(question: str) -> Outcome:
        drafts = [draft for _ in range(draws) for draft in drafts_of(ask(question))]
        counts = Counter(f"drafts {draft.verdict}" for draft in drafts)
        good = [d for d in drafts if d.verdict == "supported" and not is_refusal(d.text)]
        bad = [d for d in drafts if d.verdict == "unsupported"]
        about = {"question": question, "verdicts": [d.verdict for d in drafts]}
        if not good or not bad:
            reason = (
                "no draft was written"
                if not drafts
                else "no draft was supported"
                if not good
                else "no draft was rejected"
            )
            return Outcome(rejected=[Rejected(reason, about)], counts=counts)
        if key_of(good[0].text) == key_of(bad[0].text):
            return Outcome(rejected=[Rejected(SAME, about)], counts=counts)
        provenance = {"source": "verification", "chosen": "supported", "rejected": "unsupported", "by": answered_by}
        # The prompt with all sources: a later attempt is shown one alone, whose number is the same there.
        return Outcome(
            [preference_row(drafts[0].prompt, good[0].text, bad[0].text, question, provenance)], counts=counts
        )

    depends_on = {"what": "verified preferences", "draws": draws, "by": answered_by, "seed": seed}
    distinct = list(dict.fromkeys(q.strip() for q in questions if q.strip()))
    return _each(in_seeded_order(distinct, seed)[:limit], weigh, output, depends_on, progress)


def drafts_of(answer: Answer) -> Iterator[Draft]:
    """Every draft that stands in an answer's trace with its check."""
    prompt: Messages = []
    text = ""
    for stage in answer.trace.stages:
        if stage.name == "generate":
            prompt, text = list(stage.given.get("prompt", ())), str(stage.result.get("text", ""))
        elif stage.name == "verify" and text:
            verdicts = [check["verdict"] for check in stage.result.get("checks", ())]
            yield Draft(prompt, text, overall(verdicts) if verdicts else "unsupported")
            text = ""


def take_reviewed(given: Path, output: Path) -> Written:
    """Write the rows of ``given`` that a person has reviewed (``reviewed: true``) to ``output``; the others are counted.

    Raises:
        DataError: ``given`` is missing or holds a line that is no row; or ``output`` is not of this command.
    """
    from lunheng.tuning.data.examples import Problem
    from lunheng.tuning.data.reading import read_records

    if not given.is_file():
        raise DataError(f"{given}: no such file")
    rows = dict(enumerate(read_records(given), start=1))

    def take(item: str) -> Outcome:
        row = rows[int(item)]
        if isinstance(row, Problem):
            return Outcome(rejected=[Rejected("a line that does not parse", {"at": str(row.origin)})])
        origin, record = row
        if record.get("reviewed") is not True:
            return Outcome(rejected=[Rejected("waits for review", {"at": str(origin)})])
        return Outcome([record])

    digest = content_id(given.read_bytes())
    return _each([str(n) for n in rows], take, output, {"what": "reviewed rows", "of": digest}, None)


def read_pairs(one: Path, other: Path) -> tuple[dict[str, tuple[str, str]], list[Rejected]]:
    """The questions that both files answer (``question``, ``answer`` a line), and those that one does not."""
    mine, theirs = _answers(one), _answers(other)
    pairs = {question: (mine[question], theirs[question]) for question in mine if question in theirs}
    alone = [Rejected("only one of the models answered", {"question": q}) for q in {*mine} ^ {*theirs}]
    return pairs, alone


def _answers(path: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                question, answer = row["question"], row["answer"]
            except (json.JSONDecodeError, KeyError, TypeError) as error:
                raise DataError(
                    f'{path}, line {number}: is not {{"question": ..., "answer": ...}} ({error})'
                ) from error
            found[str(question).strip()] = str(answer)
    return found


def _each(
    items: Sequence[str],
    make: Callable[[str], Outcome],
    output: Path,
    depends_on: Mapping[str, Any],
    progress: Progress | None,
) -> Written:
    with Journal(output, depends_on) as journal:
        for done, item in enumerate(items, start=1):
            if item not in journal.done:
                journal.add(item, make(item))
            if progress is not None:
                progress(done, len(items))
    return journal.written()
