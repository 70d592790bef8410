"""Laws by article: one article a chunk, ids in one form, references resolved, flat text as good as headings."""

from __future__ import annotations

from pathlib import Path

import pytest

from lunheng.chunking import make_chunker
from lunheng.chunking.domains import choose
from lunheng.chunking.legal_clauses import chinese, mark_of, number_of, point_of
from lunheng.config import ChunkingSettings
from lunheng.parsing.builder import DocumentBuilder
from lunheng.parsing.dispatch import parse_here
from lunheng.parsing.tables import markdown_table
from lunheng.testing.tokenizers import FakeTokenizer
from lunheng.types import Chunk, Document, Limits

DOCUMENTS = Path(__file__).parent / "documents"


def split(source: str | Document, size: int = 200) -> list[Chunk]:
    document = parse_here(DOCUMENTS / source, Limits(), "off") if isinstance(source, str) else source
    return make_chunker(ChunkingSettings(strategy="legal", size=size), FakeTokenizer(), 1024).split(document)


def by_id(chunks: list[Chunk]) -> dict[str, Chunk]:
    return {c.metadata.legal_clause_id: c for c in chunks if c.metadata.legal_clause_id}


def test_one_article_one_chunk() -> None:
    chunks = by_id(split("图书馆条例.txt"))
    assert list(chunks) == [
        "第一章/第一条", "第一章/第二条", "第一章/第三条", "第二章/第四条", "第二章/第五条", "第二章/第五条之一",
        "第二章/第六条", "第三章/第一节/第七条", "第三章/第一节/第八条", "第三章/第二节/第九条",
        "第三章/第二节/第十条", "第四章/第十一条", "第四章/第十二条",
    ]  # fmt: skip
    assert chunks["第三章/第一节/第八条"].metadata.heading_path == ("第三章 管理和责任", "第一节 管理", "第八条")
    assert chunks["第三章/第一节/第八条"].prefix == "青岚市公共图书馆条例 > 第三章 管理和责任 > 第一节 管理"
    assert chunks["第二章/第四条"].text.endswith("（三）其他图书馆介绍的。")


def test_references_are_ids() -> None:
    chunks = {key.rpartition("/")[2]: c.metadata.references for key, c in by_id(split("图书馆条例.txt")).items()}
    assert chunks["第一条"] == ("《中华人民共和国公共图书馆法》第十条",)
    assert chunks["第二条"] == ("第一章/第二条/第一款",)  # 前款
    assert chunks["第三条"] == ("第四章/第十二条/第二款",)
    assert chunks["第五条"] == ("第二章/第五条/第一款", "第二章/第五条/第二款")  # 前两款
    assert chunks["第五条之一"] == ("第二章/第五条",)  # 前条
    assert chunks["第六条"] == ("第二章/第四条", "第二章/第五条")  # 第四条至第五条
    assert chunks["第九条"] == ("第二章/第四条/第一款/第二项",)


def test_an_english_act() -> None:
    chunks = by_id(split("harbour-act.txt"))
    assert len(chunks) == 7
    third = chunks["Chapter 2/Article 3"].metadata
    assert third.references == ("Chapter 3/Article 6", "Chapter 2/Article 3(3)")
    assert third.heading_path == ("CHAPTER II", "Article 3 Permission to enter")
    assert chunks["Chapter 1/Article 2"].metadata.references == ("Chapter 3/Article 6(2)",)
    # The Penal Code's Article 12 is not this Act's.
    assert chunks["Chapter 3/Article 7"].metadata.references == ("Chapter 2/Article 3(1)", "Chapter 2/Article 5")


def test_an_article_over_the_cap_is_cut_at_its_paragraphs() -> None:
    chunks = [c for c in split("图书馆条例.txt", 60) if "/第五条" in (c.metadata.legal_clause_id or "")]
    ids = [c.metadata.legal_clause_id for c in chunks]
    assert ids == ["第二章/第五条", "第二章/第五条/第二款", "第二章/第五条/第三款", "第二章/第五条之一"]
    assert all("第五条" in c.prefix for c in chunks[1:3]) and chunks[2].text.startswith("违反前两款")
    third = [c for c in split("harbour-act.txt", 60) if "Article 3" in (c.metadata.legal_clause_id or "")]
    assert [c.metadata.legal_clause_id for c in third][1:] == [
        "Chapter 2/Article 3(2)(b)",
        "Chapter 2/Article 3(3)",
    ] or (len(third) > 2 and all("Article 3" in c.prefix for c in third[1:]))


def test_points_carry_the_words_that_introduce_them() -> None:
    made = DocumentBuilder(Path("/a/law.txt"), "txt", b"x")
    made.title = "规定"
    made.add("paragraph", "第一条　有下列情形的，不予批准：")
    for i in range(1, 30):
        made.add("paragraph", f"（{chinese(i)}）申请材料第{i}部分不齐全或者与事实不符合的；")
    chunks = split(made.build(), 120)
    assert len(chunks) > 3
    assert all("有下列情形的，不予批准：" in c.prefix for c in chunks[1:])
    assert chunks[1].metadata.legal_clause_id and chunks[1].metadata.legal_clause_id.startswith("第一条/第一款/第")


def test_a_document_with_headings_and_a_table() -> None:
    made = DocumentBuilder(Path("/a/law.docx"), "docx", b"x")
    made.heading("收费办法", 1)
    made.heading("第二章 标准", 2)
    made.heading("第十二条 收费", 3)
    made.add("paragraph", "收费标准如下表。")
    made.add("table", markdown_table([["项目", "元"], ["停车", "5"]]), caption="表一")
    made.add("paragraph", "第十三条　其他事项参照前条。")
    table = next(c for c in split(made.build()) if c.kind == "table")
    assert table.metadata.legal_clause_id == "第二章/第十二条" and table.metadata.table_caption == "表一"
    assert split(made.build())[-1].metadata.references == ("第二章/第十二条",)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("第一百二十三条之一　本条所称", "第一百二十三条之一"),
        ("第１２条 适用范围", "第十二条"),
        ("第十二条规定的罚款", None),
        ("第三编　合同", "第三编"),
        ("第二分编 典型合同", "第二分编"),
        ("第三款所称的费用", None),
        ("ARTICLE IV", "Article 4"),
        ("Section 3.2 Payment", "Section 3.2"),
        ("§ 12 Notice", "Section 12"),
        ("Article 5(2) applies where", None),
        ("Section 3 applies to vessels", None),
        ("Chapter XII Final provisions", "Chapter 12"),
        ("Particles are small", None),
    ],
)
def test_what_begins_a_clause(line: str, found: str | None) -> None:
    mark = mark_of(line)
    assert (mark.id if mark else None) == found


def test_numerals() -> None:
    for number in (1, 10, 11, 20, 99, 100, 101, 110, 123, 305, 1000, 1024, 1260):
        assert number_of(chinese(number)) == number
    assert (chinese(12), chinese(103), chinese(110)) == ("十二", "一百零三", "一百一十")
    assert [number_of(n) for n in ("XIV", "IX", "１２", "一二三", "两百零五")] == [14, 9, 12, 123, 205]


def test_points_nest() -> None:
    path: tuple[str, ...] = ()
    seen = []
    for line in ("(1) a", "(a) b", "(i) c", "(ii) d", "(b) e", "(2) f", "(h) g", "(i) h"):
        path = point_of(line, path, True) or ()
        seen.append("".join(path))
    assert seen == ["(1)", "(1)(a)", "(1)(a)(i)", "(1)(a)(ii)", "(1)(b)", "(2)", "(2)(h)", "(2)(i)"]


def test_contracts_in_both_languages() -> None:
    made = DocumentBuilder(Path("/a/contract.md"), "md", b"x")
    made.title = "房屋租赁合同"
    for text in (
        "甲方：林某　乙方：陈某", "**第一条 房屋**", "房屋坐落于海堤路 9 号。", "**第二条 租金**", "租金每月 4200 元。",
        "第三条　违反第二条的，可以解除合同。", "附件一：设施清单", "空调两台。",
    ):  # fmt: skip
        made.add("paragraph", text)
    chunks = split(made.build())
    assert [c.metadata.legal_clause_id for c in chunks] == [None, "第一条", "第二条", "第三条", None]
    assert chunks[2].metadata.heading_path == ("第二条 租金",) and chunks[2].prefix == "房屋租赁合同"
    assert chunks[3].metadata.references == ("第二条",)
    assert chunks[4].metadata.heading_path == ("附件一：设施清单",)
    made = DocumentBuilder(Path("/a/agreement.txt"), "txt", b"x")
    made.title = "Service agreement"
    for text in (
        "Section 1. Fees", "(a) The Customer shall pay the fees set out in Section 2(b).", "(b) Late amounts bear interest.",
        "Section 2. Term", "(a) One year.", "(b) Sections 1 to 2 survive.", "Schedule A", "The timetable.",
    ):  # fmt: skip
        made.add("paragraph", text)
    chunks = split(made.build())
    assert [c.metadata.legal_clause_id for c in chunks] == ["Section 1", "Section 2", None]
    assert chunks[0].metadata.references == ("Section 2(b)",)
    assert chunks[0].metadata.section_title == "Section 1. Fees"


CONTRACTS = {
    "zh": (
        "房屋租赁合同\n出租人（甲方）：青岚公司\n承租人（乙方）：李宁\n一、租赁物\n1. 甲方将码头路 3 号的房屋租给乙方使用。\n"
        "2. 房屋面积为八十平方米。\n二、租金\n1. 月租金为三千元。\n2. 乙方应在每月五日前付款，见第三条。\n三、违约责任\n乙方逾期付款的，应付违约金。\n"
        "四、争议\n双方协商解决。"
    ),
    "zh 1.1": (
        "服务协议\n甲方：青岚公司\n乙方：港务局\n1. 服务内容\n1.1 甲方维护码头的起重机、系船柱和照明设备，每季度检查一次并向乙方提交书面报告。\n1.2 乙方提供场地、水电和存放工具的房间，并指定一名联系人。\n2. 费用\n2.1 每月三千元。\n"
        "2.2 乙方按季付款。\n3. 期限\n3.1 本协议有效期一年，费用见第2条。\n3.2 甲方可以续期。"
    ),
    "en": (
        "Service Agreement\nThis Agreement is made between Harbour Ltd (hereinafter Party A) and Ada Sample (hereinafter Party B).\n"
        "1. Services\n1.1 Party A maintains the cranes of the pier.\n1.2 The parties meet:\n(a) in spring;\n(b) in autumn.\n"
        "2. Fees\n2.1 Party B pays 300 a month.\n3. Term\n3.1 The term is one year; fees are in Clause 2.\n3.2 Either party may renew it."
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "ids", "title", "reference"),
    [
        ("zh", ["第一条", "第二条", "第三条", "第四条"], "二、租金", {"第二条": ("第三条",)}),
        ("zh 1.1", ["第一条", "第二条", "第三条"], "2. 费用", {"第三条": ("第二条",)}),
        ("en", ["Clause 1", "Clause 2", "Clause 3"], "2. Fees", {"Clause 3": ("Clause 2",)}),
    ],
)
def test_a_contract_that_numbers_its_clauses_alone(
    name: str, ids: list[str], title: str, reference: dict[str, tuple[str, ...]]
) -> None:
    made = DocumentBuilder(Path("/a/contract.txt"), "txt", b"x")
    made.heading(CONTRACTS[name].split("\n")[0], 1)
    for line in CONTRACTS[name].split("\n")[1:]:
        made.add("paragraph", line)
    document = made.build()
    assert choose(document).strategy == "legal"
    chunks = split(document)
    found = by_id(chunks)
    assert list(found) == ids
    assert found[ids[1]].text.startswith(title) and found[ids[1]].metadata.section_title == title
    assert {key: c.metadata.references for key, c in found.items() if c.metadata.references} == reference


def test_numbered_points_of_other_texts_are_no_clauses() -> None:
    for text in (
        "会议纪要\n一、出席情况\n全体出席。\n二、决议\n修码头。\n三、其他\n无。" * 3,
        "Minutes\n1. Attendance\nAll came.\n2. Decisions\nMend the pier.\n3. Other\nThe contract of either party ends."
        * 2,
    ):
        made = DocumentBuilder(Path("/a/minutes.txt"), "txt", b"x")
        for line in text.split("\n"):
            made.add("paragraph", line)
        assert choose(made.build()).strategy != "legal"
