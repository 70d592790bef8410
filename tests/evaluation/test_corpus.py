"""Passages as documents: text, title and offsets stay what they are, and hits lead back to passages."""

from __future__ import annotations

from pathlib import Path

from lunheng.evaluation.corpus import passage_documents, passage_ids
from lunheng.evaluation.datasets import Passage
from lunheng.knowledge import KnowledgeBase
from lunheng.testing.real_models import real_embedder

PASSAGES = (
    Passage("a", "备份", "备份每天凌晨两点半执行，保留三十五天。"),
    Passage("b", "", "The office dog is called Biscuit."),
    Passage("c", "Empty", ""),
)


def test_offsets_and_headings() -> None:
    documents = list(passage_documents(PASSAGES))
    assert [d.source for d in documents] == ["a", "b", "c"]
    for document, passage in zip(documents, PASSAGES, strict=True):
        assert document.text.endswith(passage.text)
        for element in document.elements:
            assert document.text[element.start : element.end] == element.text
    assert [e.kind for e in documents[0].elements] == ["heading", "paragraph"]
    assert documents[0].elements[1].heading_path == ("备份",)
    assert [e.kind for e in documents[1].elements] == ["paragraph"]
    assert [e.kind for e in documents[2].elements] == ["heading"]
    assert [d.language for d in documents[:2]] == ["zh", "en"]


def test_found_by_the_passage_id(tmp_path: Path) -> None:
    with KnowledgeBase.open(tmp_path / "kb", embedder=real_embedder()) as base:
        base.add(passage_documents(PASSAGES))
        assert passage_ids(base.search("备份保留多少天？", k=3))[0] == "a"
        assert passage_ids(base.search("办公室的狗叫什么名字？", k=3))[0] == "b"
        ids = passage_ids(base.search("dog", k=3) + base.search("狗", k=3))
        assert len(ids) == len(set(ids))
