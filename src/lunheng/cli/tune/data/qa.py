"""``lunheng tune data qa --kb KB -o FILE``"""

from __future__ import annotations

from typing import Annotated

import typer

from lunheng.cli.common import DEFAULT_FOLDER, AsJson, Folder, Small, Where, bar, opened
from lunheng.cli.tune.data.common import Limit, Output, Seed, Templates, show, writer


def qa(
    output: Output,
    folder: Folder = DEFAULT_FOLDER,
    where: Where = None,
    per_chunk: Annotated[int, typer.Option(min=1, help="Questions of one passage at the most.")] = 3,
    k: Annotated[int, typer.Option("-k", min=1, help="The passage must be among so many hits for its question.")] = 10,
    limit: Limit = None,
    templates: Templates = False,
    small: Small = False,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Ask questions of a knowledge base's passages, and keep those for which search gives the passage back."""
    from lunheng.tuning.rag.qa import QuestionSettings, make_questions

    with opened(folder, small=small) as kb:
        llm = writer(kb, templates)
        with bar("asking", as_json) as advance:
            written = make_questions(
                kb.chunks(filter=where), kb.search, output, QuestionSettings(per_chunk, k, seed), llm, limit, advance
            )
    checked = written.counts.get("drafts checked", 0)
    found = checked - sum(
        written.rejected.get(r, 0) for r in ("asked before", "the search does not give the passage back")
    )
    show(written, as_json, survived=round(found / checked, 4) if checked else None)
