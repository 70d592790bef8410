"""``lunheng tune data preferences -o FILE``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lunheng.cli.common import DEFAULT_FOLDER, AsJson, Folder, Small, bar, err, opened
from lunheng.cli.tune.data.common import Limit, Output, Seed, needed_llm, show


def preferences(
    output: Output,
    feedback: Annotated[
        Path | None, typer.Option(help="What users said: question, answer, verdict, correction, edit a line.")
    ] = None,
    answers: Annotated[
        list[Path] | None, typer.Option(help="Two files of question and answer a line, weighed by the language model.")
    ] = None,
    questions: Annotated[
        Path | None, typer.Option(help="Questions (a text line, or JSONL); ask's checked drafts are compared.")
    ] = None,
    reviewed: Annotated[
        Path | None, typer.Option("--reviewed", help="Take the rows of this file that have reviewed: true.")
    ] = None,
    labels: Annotated[bool, typer.Option("--labels", help="With --feedback: KTO labels out of thumbs.")] = False,
    folder: Folder = DEFAULT_FOLDER,
    draws: Annotated[int, typer.Option(min=1, help="With --questions: how often each is asked.")] = 3,
    temperature: Annotated[float, typer.Option(min=0.0, help="With --questions: of the drafts.")] = 0.8,
    limit: Limit = None,
    small: Small = False,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Make pairs of a better and a worse answer, from users, a judge, or the check against the sources."""
    from lunheng.tuning.rag.feedback import read_feedback
    from lunheng.tuning.rag.preferences import take_reviewed

    given = [name for name, value in _sources(feedback, answers, questions, reviewed).items() if value]
    if len(given) != 1:
        raise typer.BadParameter(
            "give exactly one of --feedback, --answers (twice), --questions and --reviewed", param_hint="the source"
        )
    if labels and feedback is None:
        raise typer.BadParameter("goes with --feedback", param_hint="--labels")
    if feedback is not None:
        show(read_feedback(feedback, output, labels), as_json, unread=0)
    elif reviewed is not None:
        show(take_reviewed(reviewed, output), as_json, unread=0)
    elif answers:
        _judged(output, answers, small, limit, seed, as_json)
    elif questions is not None:
        _verified(output, questions, folder, draws, temperature, small, limit, seed, as_json)


def _sources(
    feedback: Path | None, answers: list[Path] | None, questions: Path | None, reviewed: Path | None
) -> dict[str, object]:
    return {"feedback": feedback, "answers": answers, "questions": questions, "reviewed": reviewed}


def _judged(output: Path, answers: list[Path], small: bool, limit: int | None, seed: int, as_json: bool) -> None:
    from lunheng.cli.common import SMALL_LLM
    from lunheng.config import Settings
    from lunheng.tuning.rag.preferences import judged_pairs, read_pairs

    if len(answers) != 2:
        raise typer.BadParameter("two files are compared: give it twice", param_hint="--answers")
    settings = Settings.load()
    if small:
        settings = settings.model_copy(update={"models": settings.models.model_copy(update={"llm": SMALL_LLM})})
    judge = needed_llm(settings)
    pairs, alone = read_pairs(answers[0], answers[1])
    names = (answers[0].stem, answers[1].stem) if answers[0].stem != answers[1].stem else ("first", "second")
    with bar("judging", as_json) as advance:
        written = judged_pairs(pairs, names, judge, output, seed, limit, advance)
    show(written, as_json, unread=len(alone))


def _verified(
    output: Path,
    questions: Path,
    folder: Path,
    draws: int,
    temperature: float,
    small: bool,
    limit: int | None,
    seed: int,
    as_json: bool,
) -> None:
    from lunheng.errors import ConfigError
    from lunheng.tuning.data.examples import Problem
    from lunheng.tuning.data.reading import read_records
    from lunheng.tuning.rag.preferences import verified_pairs

    if questions.suffix == ".txt":
        asked = [line.strip() for line in questions.read_text(encoding="utf-8").splitlines()]
        unread = 0
    else:
        items = list(read_records(questions))
        records = [item[1] for item in items if not isinstance(item, Problem)]
        asked = [str(r.get("question") or r.get("query") or "") for r in records]
        unread = len(items) - sum(bool(q.strip()) for q in asked)
    if draws > 1 and temperature == 0:
        err.print("[yellow]note[/]: at temperature 0 every draw is the same; one is made")
        draws = 1
    with opened(folder, small=small) as kb:
        answering = kb.settings.answering.model_copy(update={"temperature": temperature})
        kb.settings = kb.settings.model_copy(update={"answering": answering})
        if kb.llm is None:
            raise ConfigError(
                "models.llm is none, and this needs a language model; set it, as LUNHENG_MODELS__LLM=NAME"
            )
        by = f"{kb.llm.fingerprint} at {temperature:g}"
        with bar("asking", as_json) as advance:
            written = verified_pairs(asked, kb.ask, draws, by, output, seed, limit, advance)
    show(written, as_json, unread=unread)
