"""Small pieces are found, their parents are given: once each, exact, and only to whom the document is open."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lunheng.config import ChunkingSettings, ModelSettings, Settings
from lunheng.knowledge import KnowledgeBase
from lunheng.parsing.builder import DocumentBuilder
from lunheng.testing.real_models import real_embedder
from lunheng.tracing import Tracer
from lunheng.types import Document, Principal

SETTINGS = Settings(
    chunking=ChunkingSettings(strategy="parent_child", size=160, child_size=32, overlap=8),
    models=ModelSettings(llm="none"),
)
LEAVE = (
    "Parental leave is twelve weeks. It may be taken in two parts. The first part begins with the birth. "
    "The manager is told eight weeks before. Pay is full for the first six weeks and half for the rest. "
    "Leave that is not taken by the child's third birthday is lost."
)
报销 = "差旅费应在返回后十五天内报销。住宿标准为每晚五百元。超出部分由本人承担。发票抬头须写公司全称。借款应先行结清。"


def handbook(name: str, acl: tuple[str, ...] = ("*",)) -> Document:
    builder = DocumentBuilder(Path(f"/hr/{name}.md"), "md", name.encode())
    builder.heading("Leave 假期", 1)
    builder.add("paragraph", LEAVE)
    builder.heading("Travel 差旅", 1)
    builder.add("paragraph", 报销 + f" ({name})")
    document = builder.build()
    from dataclasses import replace

    return replace(document, acl=acl)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KnowledgeBase]:
    folder = tmp_path_factory.mktemp("parents")
    with KnowledgeBase.open(folder / "kb", SETTINGS, embedder=real_embedder()) as kb:
        kb.add([handbook("open")])
        kb.add([handbook("secret", ("group:hr",))])
        yield kb


def test_the_children_of_a_parent_count_once_and_bring_it_whole(base: KnowledgeBase) -> None:
    tracer = Tracer()
    hits = base.find("how is parental leave paid?", k=4, principal=Principal("guest"), tracer=tracer).hits
    assert "Pay is full" in hits[0].chunk.text and "two parts" in hits[0].chunk.text, "the parent, not the child"
    assert len({(h.chunk.start, h.chunk.end) for h in hits}) == len(hits) == 2
    joined = next(s for s in tracer.trace().stages if s.name == "parents").result["joined"]
    assert joined, "other children of the same parents were found and joined"


def test_a_parent_is_exactly_the_documents_text(base: KnowledgeBase) -> None:
    for query in ("住宿标准是多少？", "parental leave in two parts"):
        for hit in base.search(query, k=4):
            document = base.document(hit.chunk.metadata.document_id)
            assert document.text[hit.chunk.start : hit.chunk.end] == hit.chunk.text
            assert hit.chunk.metadata.parent == (hit.chunk.start, hit.chunk.end)


def test_what_the_asker_may_not_see_stays_unseen(base: KnowledgeBase) -> None:
    assert {h.chunk.metadata.source for h in base.search("差旅费报销", principal=Principal("guest"))} == {"/hr/open.md"}
    hr = Principal("lin", frozenset({"hr"}))
    assert {h.chunk.metadata.source for h in base.search("差旅费报销", principal=hr)} == {
        "/hr/open.md",
        "/hr/secret.md",
    }


def test_an_answer_cites_the_parent_by_exact_quotes(base: KnowledgeBase) -> None:
    answer = base.ask("住宿标准是每晚多少元？", principal=Principal("guest"))
    assert answer.citations
    for citation in answer.citations:
        assert base.document(citation.document_id).text[citation.start : citation.end] == citation.quote


def test_a_removed_document_leaves_no_parent_behind(tmp_path: Path) -> None:
    with KnowledgeBase.open(tmp_path / "kb", SETTINGS, embedder=real_embedder()) as kb:
        kb.add([handbook("open")])
        kb.remove("/hr/open.md")
        assert kb.search("parental leave") == []
