"""Passages joined into documents, and hits judged by what they overlap."""

from __future__ import annotations

from lunheng.evaluation.chunking import ChunkingResult, LongSet, measure
from lunheng.evaluation.datasets import Passage, Query, RetrievalDataset
from lunheng.types import Chunk, Hit, Metadata

PASSAGES = (
    Passage("a1", "Visby_港", "The ferry leaves at eight."),
    Passage("a2", "Visby_港", "渡轮八点开往维斯比，狗上汽车甲板。"),
    Passage("b1", "Tromsø", "The museum is closed on Mondays."),
    Passage("c1", "Visby_港", "Another article of the same title, later."),
)
QUERIES = (Query("q1", "dogs?"), Query("q2", "Mondays?"), Query("q3", "not judged"))
DATASET = RetrievalDataset("made", PASSAGES, QUERIES, {"q1": {"a2": 1}, "q2": {"b1": 1, "a1": 0}}, "0")


def hit(source: str, start: int, end: int) -> Hit:
    metadata = Metadata(source, "txt", source, 0)
    return Hit(Chunk(f"{source}:{start}", "", start, end, metadata), 1.0, "cosine")


def test_consecutive_passages_of_one_title_are_one_document_with_a_heading() -> None:
    joined = LongSet.of(DATASET, join=True)
    assert [d.title for d in joined.documents] == ["Visby 港", "Tromsø", "Visby 港"]
    first = joined.documents[0]
    assert [e.kind for e in first.elements] == ["heading", "paragraph", "paragraph"]
    for document in joined.documents:
        for element in document.elements:
            assert document.text[element.start : element.end] == element.text
        for place in joined.places[document.source]:
            assert document.text[place.start : place.end] == next(p.text for p in PASSAGES if p.id == place.passage)
    apart = LongSet.of(DATASET, join=False)
    assert [d.source for d in apart.documents] == ["a1", "a2", "b1", "c1"]


def test_a_hit_is_the_relevant_passage_that_it_overlaps_by_half_else_the_one_it_overlaps_most() -> None:
    joined = LongSet.of(DATASET, join=True)
    document = joined.documents[0]
    a1, a2 = joined.places[document.source]
    half = (a2.start + a2.end) // 2 + 1
    both, mostly_first = hit(document.source, a1.start, half), hit(document.source, a1.start, a2.start + 2)
    assert joined.ranking(QUERIES[0], [both]) == ["a2"]
    assert joined.ranking(QUERIES[1], [both]) == ["a1"]
    assert joined.ranking(QUERIES[0], [mostly_first]) == ["a1"]
    # A hit on the heading alone is of no passage and keeps its rank.
    heading = hit(document.source, 0, 3)
    assert joined.ranking(QUERIES[0], [heading, both, both]) == [f"{document.source}:0", "a2"]


def test_strategies_are_tested_against_the_baseline() -> None:
    joined = LongSet.of(DATASET, join=True)
    right = {q.text: [hit(s, p.start, p.end) for s, ps in joined.places.items() for p in ps if p.passage == wanted]
             for q, wanted in ((QUERIES[0], "a2"), (QUERIES[1], "b1"))}  # fmt: skip
    seen: list[tuple[int, int]] = []
    good = measure(lambda query, k: right[query], joined, progress=lambda done, of: seen.append((done, of)))
    bad = measure(lambda query, k: [], joined)
    assert (good.metrics["ndcg@10"].mean, bad.metrics["ndcg@10"].mean, good.queries, good.unjudged) == (1.0, 0.0, 2, 1)
    assert seen == [(1, 2), (2, 2)]
    baseline = ChunkingResult("fixed", 3, 20.04, bad)
    assert baseline.to_dict(baseline)["p"] is None
    row = ChunkingResult("structure", 3, 20.04, good).to_dict(baseline)
    assert 0 < row["p"] <= 1 and row["mean_tokens"] == 20.0 and row["hit@1"] == 1.0


def test_the_first_passages_keep_the_queries_that_they_answer_whole() -> None:
    first = DATASET.part(0, 2)
    assert [p.id for p in first.passages] == ["a1", "a2"] and [q.id for q in first.queries] == ["q1"]
    rest = DATASET.part(2, None)
    assert [p.id for p in rest.passages] == ["b1", "c1"] and [q.id for q in rest.queries] == ["q2"]
