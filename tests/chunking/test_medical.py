"""Sections of case notes and papers, by headings and by labels; tables of doses whole; rows as records."""

from __future__ import annotations

from pathlib import Path

import pytest

from lunheng.chunking import make_chunker
from lunheng.chunking.medical import section_label
from lunheng.config import ChunkingSettings
from lunheng.parsing.builder import DocumentBuilder
from lunheng.parsing.dispatch import parse_here
from lunheng.parsing.tables import markdown_table
from lunheng.testing.tokenizers import FakeTokenizer
from lunheng.types import Chunk, Document, Limits

DOCUMENTS = Path(__file__).parent / "documents"


def split(source: str | Document, size: int = 300, strategy: str = "medical") -> list[Chunk]:
    document = parse_here(DOCUMENTS / source, Limits(), "off") if isinstance(source, str) else source
    return make_chunker(ChunkingSettings(strategy=strategy, size=size), FakeTokenizer(), 1024).split(document)


def holding(chunks: list[Chunk], text: str) -> Chunk:
    (found,) = (c for c in chunks if text in c.text)
    return found


def test_a_chinese_case_note() -> None:
    chunks = split("入院记录.txt")
    assert "夜间可以平卧" in holding(chunks, "现病史：").text
    diagnosis = holding(chunks, "初步诊断：")
    assert "1. 慢性阻塞性肺疾病" in diagnosis.text and "3. 高血压病 2 级" in diagnosis.text
    for chunk in chunks[1:]:
        assert section_label(chunk.text.split("\n", 1)[0])


def test_an_english_case_note_with_labels_headings_and_doses() -> None:
    chunks = split("discharge-summary.md", 120)
    assert "took nothing" in holding(chunks, "History of present illness").text
    assert holding(chunks, "Physical examination").metadata.heading_path[0] == "Discharge summary"
    doses = holding(chunks, "Ticagrelor | 90 mg")
    assert doses.kind == "table" and doses.text.startswith("Discharge medications") and "Metformin" in doses.text
    assert holding(chunks, "Follow-up").metadata.section_title == "Follow-up"


def test_a_paper_with_its_abstract() -> None:
    chunks = split("高血压药物治疗研究.md")
    abstract = holding(chunks, "目的：")
    assert "结论：" in abstract.text and "资料与方法" not in abstract.text
    assert "缬沙坦 | 80 mg" in holding(chunks, "| 药物 |").text
    assert not any("2 结果" in c.text and "3 讨论" in c.text for c in chunks)


def test_a_long_section_repeats_its_label() -> None:
    made = DocumentBuilder(Path("/a/x.txt"), "txt", b"x")
    made.title = "病历"
    made.add("paragraph", "现病史：" + "患者三天前出现发热，最高三十九度。" * 20)
    made.heading("Asthma", 1)
    made.add("paragraph", "A disease of the airways. " * 40)
    chunks = split(made.build(), 100)
    ill = [c for c in chunks if "发热" in c.text]
    assert len(ill) > 2 and all(c.prefix == "病历 > 现病史" for c in ill[1:])
    disease = [c for c in chunks if "airways" in c.text]
    assert disease[0].text.startswith("Asthma\n\nA disease")
    assert all(c.prefix == "病历 > Asthma" for c in disease[1:])


@pytest.mark.parametrize(
    ("line", "label"),
    [
        ("主诉：反复咳嗽", "主诉"),
        ("【既往史】体健", "既往史"),
        ("1. 辅助检查：血常规", "辅助检查"),
        ("**Chief complaint:** pain", "Chief complaint"),
        ("Assessment and plan: rest", "Assessment and plan"),
        ("METHODS", "METHODS"),
        ("诊断为肺炎", ""),
        ("Plan your visit", ""),
        ("结果显示两组无差异。", ""),
    ],
)
def test_labels(line: str, label: str) -> None:
    assert section_label(line) == label


def test_rows_as_records_with_caption_and_header() -> None:
    made = DocumentBuilder(Path("/a/价目.xlsx"), "xlsx", b"x")
    made.heading("价目表", 1)
    made.add(
        "table", markdown_table([["名称", "价格（元）"], ["茶", "8"], ["Coffee", "12"], ["水", "2"]]), caption="2026 年"
    )
    made.add("figure", "柱状图", caption="图 1 销量")
    chunks = split(made.build(), 100, "table")
    assert [c.text for c in chunks[1:3]] == ["| Coffee | 12 |", "| 水 | 2 |"]
    assert all("| 名称 | 价格（元） |" in c.prefix and "2026 年" in c.prefix for c in chunks[1:3])
    assert all(c.metadata.table_caption == "2026 年" for c in chunks[:3])
    assert chunks[3].kind == "figure" and chunks[3].prefix.endswith("图 1 销量")
