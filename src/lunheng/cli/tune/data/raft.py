"""``lunheng tune data raft --kb KB -o FILE``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lunheng.cli.common import DEFAULT_FOLDER, AsJson, Folder, Small, Where, bar, err, opened
from lunheng.cli.tune.data.common import Limit, Output, Seed, Templates, show, writer


def raft(
    output: Output,
    questions: Annotated[
        Path | None, typer.Option("--from", help="Questions with answers, as tune data qa writes them.")
    ] = None,
    folder: Folder = DEFAULT_FOLDER,
    where: Where = None,
    distractors: Annotated[int, typer.Option(min=0, help="Sources beside the one that answers.")] = 3,
    without_gold: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of cases whose sources do not say it.")
    ] = 0.2,
    depth: Annotated[int, typer.Option(min=1, help="Distractors are taken of so many hits.")] = 20,
    context_tokens: Annotated[
        int | None, typer.Option(min=64, help="Of all sources together; by default answering.context_tokens.")
    ] = None,
    per_chunk: Annotated[int, typer.Option(min=1, help="Without --from: questions of one passage at the most.")] = 3,
    limit: Limit = None,
    templates: Templates = False,
    small: Small = False,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Make conversations of a question, sources that answer it or only look so, and the answer that cites them."""
    from lunheng.tuning.rag.asked import read_questions
    from lunheng.tuning.rag.qa import QuestionSettings, make_questions
    from lunheng.tuning.rag.raft import RaftSettings, make_raft

    with opened(folder, small=small) as kb:
        chunks = list(kb.chunks(filter=where))
        if questions is None:
            questions = output.with_name(f"{output.stem}.qa.jsonl")
            err.print(f"[dim]questions: {questions}[/]")
            with bar("asking", as_json) as advance:
                make_questions(
                    chunks,
                    kb.search,
                    questions,
                    QuestionSettings(per_chunk, seed=seed),
                    writer(kb, templates),
                    limit,
                    advance,
                )
        asked, refused = read_questions(questions, chunks)
        for one in refused[:5]:
            err.print(f"[yellow]left out[/] {one.what.get('at')}: {one.reason}")
        settings = RaftSettings(
            distractors, without_gold, depth, context_tokens or kb.settings.answering.context_tokens, seed
        )
        with bar("writing", as_json) as advance:
            written = make_raft(asked, kb.search, kb.embedder.tokenizer.count, output, settings, limit, advance)
    show(written, as_json, unread=len(refused))
