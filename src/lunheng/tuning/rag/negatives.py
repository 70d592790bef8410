"""Hard negatives for triples: mined by several searches, filtered, the hardest kept.

Called by ``lunheng tune data negatives``. Queries are searched a block at a time; what each search gives is joined by
its ranks in turn, so that none drowns the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import zip_longest
from pathlib import Path

from lunheng.tuning.rag.false_negatives import Filtered, Margins, Wanted, filtered
from lunheng.tuning.rag.journal import Journal, Outcome, Rejected, Row, Written, in_seeded_order
from lunheng.tuning.rag.scoring import Scorer
from lunheng.tuning.rag.searching import QUERY_BLOCK, Found, SearchMany

NONE_LEFT = "a query without a negative"
SKIPPED = "rank below the range"
MINED = "candidates mined"


@dataclass(frozen=True, slots=True)
class MiningSettings:
    """What the negatives depend on."""

    count: int = 5
    """Negatives of one query at the most."""
    first: int = 0
    """So many of each search's best are skipped: the nearest are false negatives most often."""
    depth: int = 50
    """The last rank of each search that is looked at."""
    margins: Margins = field(default_factory=Margins)
    seed: int = 0


def mine_negatives(
    wanted: Sequence[Wanted],
    searches: Mapping[str, SearchMany],
    scorer: Scorer,
    scored_by: str,
    output: Path,
    settings: MiningSettings,
    limit: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Written:
    """Mine negatives of ``wanted`` into ``output``, going on where an earlier run stopped.

    Args:
        searches: by name, as bm25 and dense.
        scored_by: the scorer's fingerprint: margins of another are other margins.
        limit: queries; which, follows from the seed.

    Raises:
        DataError: the output was begun with other settings.
    """
    by_id = {w.id: w for w in wanted}
    chosen = in_seeded_order(by_id, settings.seed)[:limit]
    depends_on = {"what": "negatives", **asdict(settings), "searches": sorted(searches), "scored_by": scored_by}
    with Journal(output, depends_on, still_there=lambda item: item in by_id) as journal:
        left = [item for item in chosen if item not in journal.done]
        for start in range(0, len(left), QUERY_BLOCK):
            block = [by_id[item] for item in left[start : start + QUERY_BLOCK]]
            found = {name: search([w.query for w in block], settings.depth) for name, search in searches.items()}
            for place, one in enumerate(block):
                mined, skipped = _joined([lists[place] for lists in found.values()], settings.first)
                result = filtered(one, mined, settings.count, scorer, settings.margins)
                journal.add(one.id, _outcome(one, result, len(mined), skipped))
                if progress is not None:
                    progress(len(chosen) - len(left) + start + place + 1, len(chosen))
    return journal.written()


def _joined(lists: Sequence[Sequence[Found]], first: int) -> tuple[list[Found], int]:
    """(each passage once, by its best rank; how many stand above the range in a search)."""
    skipped = {found.id for ranked in lists for found in ranked[:first]}
    turns: Iterator[tuple[Found | None, ...]] = zip_longest(*(ranked[first:] for ranked in lists))
    joined = {found.id: found for turn in turns for found in turn if found is not None and found.id not in skipped}
    return list(joined.values()), len(skipped)


def _outcome(one: Wanted, result: Filtered, mined: int, skipped: int) -> Outcome:
    counts = Counter({MINED: mined, SKIPPED: skipped, "negatives": len(result.negatives), **result.dropped})
    if not result.negatives:
        why = {"id": one.id, "query": one.query, "dropped": dict(result.dropped)}
        return Outcome(rejected=[Rejected(NONE_LEFT, why)], counts=counts)
    row: Row = {
        "query": one.query,
        "positive": one.positives[0],
        "negatives": [n.text for n in result.negatives],
        "group": one.group or one.id,
        "query_id": one.id,
        "negative_ids": [n.id for n in result.negatives],
        "positive_score": result.positive_score,
        "negative_scores": list(result.scores),
        "made_by": "mined",
    }
    return Outcome([row], counts=counts)
