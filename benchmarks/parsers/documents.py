"""The documents that ``parsing.py`` renders: known text in Chinese and English, every layout that the task names.

The prose is that of the parallel sets xquad_zh and xquad_en; headings and tables are written here.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pages import Block, Composer, Fonts, Look

TOPICS = {
    "en": ["Scope", "Definitions", "Organisation", "Duties of the keeper", "Records and archives", "Safety at the pier",
           "Care of instruments", "Visitors", "Opening hours", "Reports and forms", "Payment of wages", "Travel expenses",
           "Leave and absence", "Training", "Equipment on loan", "Fire drills", "Storage of oil", "Complaints",
           "Measurements", "Results of the survey", "Discussion", "Related work", "Limits of the method", "Final rules"],
    "zh": ["适用范围", "术语和定义", "组织机构", "值班员的职责", "记录与归档", "码头安全", "仪器养护", "来访管理", "开放时间",
           "报告与表单", "工资支付", "差旅费用", "请假与缺勤", "培训安排", "设备借用", "消防演练", "油料存放", "投诉处理",
           "测量方法", "调查结果", "讨论", "相关工作", "方法的局限", "附则"],
}  # fmt: skip
TITLES = {"en": "Handbook of the Harbour Service", "zh": "港务管理手册与年度报告"}
HEADERS = {"en": "Harbour Service, annual report", "zh": "港务局年度报告"}
FIELDS = {
    "en": [("Station", ["North pier", "South pier", "Harbour mouth", "Old lock", "Signal tower", "Fish market", "Salt quay"]),
           ("Keeper", ["A. Moss", "B. Reed", "Carla Venn", "D. Oakley", "E. Thorn", "", "F. Marsh"]),
           ("Opened", ["1871", "1904", "1933", "1958", "1986", "2003", "2017"]),
           ("Height (m)", ["12.5", "31.0", "8.75", "104.2", "66.0", "5.1", "19.9"]),
           ("Remarks", ["closed in winter", "new lamp fitted", "under repair until the spring tides are over", "open",
                        "visited by the inspector every second month", "no stairs", "shared with the pilots"]),
           ("Cost", ["1,250", "980", "14,300", "2,075", "660", "31,000", "7,420"])],
    "zh": [("站点", ["北码头", "南码头", "港口灯塔", "旧船闸", "信号塔", "鱼市", "盐码头"]),
           ("负责人", ["黎若禾", "周安然", "陈一鸣", "欧阳静", "赵明", "", "孙立"]),
           ("启用年份", ["1871", "1904", "1933", "1958", "1986", "2003", "2017"]),
           ("高度（米）", ["12.5", "31.0", "8.75", "104.2", "66.0", "5.1", "19.9"]),
           ("备注", ["冬季关闭", "已更换新灯", "春季大潮结束之前一直在维修，不对外开放", "开放", "检查员每两个月到访一次，并填写记录表",
                   "没有楼梯", "与引航员共用"]),
           ("费用（元）", ["1,250", "980", "14,300", "2,075", "660", "31,000", "7,420"])],
}  # fmt: skip
CHINESE_NUMERALS = "一二三四五六七八九十"


@dataclass
class Truth:
    """A rendered file and what is in it."""

    name: str
    kind: str
    language: str
    path: Path
    pages: int
    text: str
    filled_text: str
    """The same with the text of a merged cell in each of its places."""
    headings: list[tuple[int, str]] = field(default_factory=list)
    tables: list[dict[str, Any]] = field(default_factory=list)
    """rows: every place of a merged cell filled; sparse: only its first place; kind."""


class Maker:
    """Renders the set into a folder."""

    def __init__(self, data: Path, folder: Path, font: str) -> None:
        """``font`` is the name of a registered TrueType font that has Chinese."""
        self._prose = {lang: list(_prose(data / f"xquad_{lang}" / "corpus.jsonl")) for lang in ("en", "zh")}
        self._folder = folder
        self._font = font

    def make(self) -> list[Truth]:
        made: list[Truth] = []
        for lang in ("en", "zh"):
            for embedded in (False, True):
                fonts = self._fonts(lang, embedded)
                mark = f"{lang}-{'embedded' if embedded else 'named'}"
                for columns in (1, 2, 3):
                    look = Look(lang, fonts, columns, header=HEADERS[lang], indent=columns != 2,
                                size=10 if columns < 3 else 9)  # fmt: skip
                    made.append(self._document(f"columns{columns}-{mark}", f"{columns} columns", look, 10 * columns))
                for columns in (2, 3):
                    look = Look(
                        lang, fonts, columns, interleaved=True, header=HEADERS[lang], size=10 if columns < 3 else 9
                    )
                    made.append(self._document(f"interleaved{columns}-{mark}", "interleaved", look, 10 * columns + 3))
                for style in ("size", "weight", "number"):
                    look = Look(lang, fonts, 1, headings=style, header=HEADERS[lang], justified=style != "size")
                    made.append(self._headings(f"headings-{style}-{mark}", look, style))
                made.append(self._notes(f"notes-{mark}", Look(lang, fonts, header=HEADERS[lang])))
                for kind in (
                    "grid",
                    "merged",
                    "continued",
                    "rows",
                    "three-line",
                    "unruled",
                    "unruled-wrapped",
                    "unruled-columns",
                ):
                    two = kind == "unruled-columns"
                    look = Look(lang, fonts, 2 if two else 1, header=HEADERS[lang], indent=False)
                    made.append(self._tables(f"table-{kind}-{mark}", kind, look))
        return made

    def _fonts(self, lang: str, embedded: bool) -> Fonts:
        if lang == "en":
            return Fonts(self._font, self._font, True) if embedded else Fonts("Times-Roman", "Times-Bold")
        return Fonts(self._font, self._font, True) if embedded else Fonts("STSong-Light", self._font)

    def _finish(self, name: str, kind: str, look: Look, blocks: Sequence[Block]) -> Truth:
        path = self._folder / f"{name}.pdf"
        composer = Composer(look)
        composer.write(blocks)
        pages = composer.draw(path)
        parts: list[str] = []
        filled: list[str] = []
        headings, tables = [], []
        for block in blocks:
            if block[0] == "heading":
                headings.append((block[1], block[2]))
            if block[0] == "table":
                rows = [list(row) for row in block[2]]
                sparse = [list(row) for row in rows]
                for r0, c0, r1, c1 in block[3] if len(block) > 3 else ():
                    for r in range(r0, r1 + 1):
                        for c in range(c0, c1 + 1):
                            rows[r][c] = rows[r0][c0]
                            if (r, c) != (r0, c0):
                                sparse[r][c] = ""
                tables.append({"kind": block[1], "rows": rows, "sparse": sparse})
                parts.append("\n".join(" ".join(c for c in row if c) for row in sparse))
                filled.append("\n".join(" ".join(c for c in row if c) for row in rows))
            else:
                parts.append(str(block[-1]))
                filled.append(parts[-1])
        # A footnote stands at the foot of its page: here, of the one page there is.
        notes = [i for i, block in enumerate(blocks) if block[0] == "footnote"]
        order = [i for i in range(len(blocks)) if i not in notes] + notes
        text, full = ("\n\n".join(some[i] for i in order) for some in (parts, filled))
        return Truth(name, kind, look.language, path, pages, text, full, headings, tables)

    def _paragraphs(self, lang: str, seed: int) -> Iterator[str]:
        prose = self._prose[lang]
        return iter(prose[(seed * 7) % 200 :] + prose)

    def _document(self, name: str, kind: str, look: Look, count: int) -> Truth:
        prose = self._paragraphs(look.language, len(name))
        blocks: list[Block] = [("heading", 1, TITLES[look.language])]
        for i in range(max(3, count // 4)):
            blocks.append(("heading", 2, f"{i + 1}  {TOPICS[look.language][i]}"))
            blocks += [("paragraph", next(prose)) for _ in range(3)]
        return self._finish(name, kind, look, blocks)

    def _headings(self, name: str, look: Look, style: str) -> Truth:
        lang = look.language
        prose = self._paragraphs(lang, len(name) + 5)
        topics = iter(TOPICS[lang] * 3)
        blocks: list[Block] = [("heading", 1, TITLES[lang])] if style != "number" else []
        base = 1 if style == "number" else 2
        article = 0
        for a in range(3):
            if lang == "zh" and style != "size":
                blocks.append(("heading", base, f"第{CHINESE_NUMERALS[a]}章 {next(topics)}"))
            elif style == "number":
                blocks.append(("heading", base, f"Chapter {a + 1} {next(topics)}"))
            else:
                blocks.append(("heading", base, next(topics) if style == "size" else f"{a + 1} {next(topics)}"))
            blocks.append(("paragraph", next(prose)))
            for b in range(2):
                if style == "number":
                    article += 1
                    number = f"第{CHINESE_NUMERALS[article - 1]}条" if lang == "zh" else f"Article {article}"
                    blocks.append(("heading", base + 1, f"{number} {next(topics)}"))
                    blocks.append(("paragraph", next(prose)))
                    continue
                blocks.append(
                    ("heading", base + 1, next(topics) if style == "size" else f"{a + 1}.{b + 1} {next(topics)}")
                )
                blocks.append(("paragraph", next(prose)))
                if b == 0:
                    blocks.append(
                        ("heading", base + 2, next(topics) if style == "size" else f"{a + 1}.{b + 1}.1 {next(topics)}")
                    )
                    blocks.append(("paragraph", next(prose)))
        return self._finish(name, "headings", look, blocks)

    def _notes(self, name: str, look: Look) -> Truth:
        lang = look.language
        prose = self._paragraphs(lang, 11)
        note = {"en": "1 See the register of lights, volume four, which the harbour office keeps.",
                "zh": "1 参见港务局保存的灯塔登记册第四卷。"}[lang]  # fmt: skip
        blocks: list[Block] = [
            ("footnote", note),
            ("heading", 1, TITLES[lang]),
            ("heading", 2, f"1  {TOPICS[lang][2]}"),
        ]
        blocks.append(("paragraph", next(prose)))
        rows = _rows(lang, [0, 2, 4], 5)
        for row in rows[1:]:
            blocks.append(("item", 0, f"{row[0]}{'：' if lang == 'zh' else ': '}{row[2]}"))
            blocks.append(("item", 1, row[1]))
        blocks += [("heading", 2, f"2  {TOPICS[lang][3]}"), ("paragraph", next(prose))]
        return self._finish(name, "lists and notes", look, blocks)

    def _tables(self, name: str, kind: str, look: Look) -> Truth:
        lang = look.language
        prose = self._paragraphs(lang, len(name) + 2)
        blocks: list[Block] = [("heading", 1, TITLES[lang])]
        sets = {"unruled-columns": [[0, 3], [0, 2]], "continued": [[0, 1, 2, 4]]}.get(
            kind, [[0, 1, 2, 3], [0, 2, 4, 5]]
        )
        if kind == "unruled":
            sets = [[0, 1, 2, 3], [0, 2, 3, 5]]
        for i, columns in enumerate(sets):
            blocks += [("heading", 2, f"{i + 1}  {TOPICS[lang][i + 4]}"), ("paragraph", next(prose))]
            caption = f"表 {i + 1} 各站点情况" if lang == "zh" else f"Table {i + 1}. Stations of the service"
            blocks.append(("caption", caption))
            rows = _rows(lang, columns, 48 if kind == "continued" else 7)
            drawn = {"continued": "grid", "merged": "grid"}.get(
                kind, kind.split("-")[0] if kind.startswith("unruled") else kind
            )
            spans: list[tuple[int, int, int, int]] = []
            if kind == "merged":
                group = ["基本信息", "数值"] if lang == "zh" else ["General", "Figures"]
                rows = [[group[0], group[0], group[1], group[1]], *rows]
                rows[4][0] = rows[3][0]
                rows[7][2] = rows[7][1]
                spans = [(0, 0, 0, 1), (0, 2, 0, 3), (3, 0, 4, 0), (7, 1, 7, 2)]
            blocks.append(("table", drawn, rows, spans))
            blocks.append(("paragraph", next(prose)))
        return self._finish(name, f"table {kind}", look, blocks)


def _rows(lang: str, columns: Sequence[int], count: int) -> list[list[str]]:
    chance = random.Random(count * 10 + len(columns))
    fields = [FIELDS[lang][c] for c in columns]
    rows = [[name for name, _ in fields]]
    for i in range(count - 1):
        row = [chance.choice(values) for _, values in fields]
        row[0] = fields[0][1][i % len(fields[0][1])]
        if count > 20:
            row[0] += f" {i + 1}"
        rows.append(row)
    return rows


def _prose(path: Path) -> Iterator[str]:
    for line in path.read_text(encoding="utf-8").splitlines():
        text = " ".join(json.loads(line)["text"].split())
        # Only what the fonts in use have: Latin 1, Chinese, the usual marks.
        if 120 <= len(text) <= 900 and re.fullmatch(r"[ -~\u4e00-\u9fff，。、；：？！（）《》“”—]+", text):
            yield text
