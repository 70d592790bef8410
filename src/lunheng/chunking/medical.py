"""Case notes, guidelines and medical papers by their sections, also where these are only labels in a line.

Called through ``make_chunker``. ``主诉：…`` and ``Chief complaint: …`` begin a section as a heading does. A
section that fits is never cut, so a description stays with the disease that it is headed by; a longer one
repeats its heading in the prefix of every later part; small neighbours under one heading are joined. A dosage
table stays whole up to the cap and is cut between its rows beyond it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from lunheng.chunking.assembly import Assembler, Draft
from lunheng.chunking.blocks import Block, special_drafts
from lunheng.chunking.lines import Line, read_lines
from lunheng.chunking.splitting import split_span
from lunheng.chunking.structure import top_level
from lunheng.protocols import Tokenizer
from lunheng.types import Chunk, Document

SMALL_SHARE = 3
"""A section below a third of the cap is joined with the next one under the same heading."""
TINY_SHARE = 10
"""A section below a tenth of it goes with the one before."""
_NOTE_ZH = """主诉 现病史 既往史 个人史 婚育史 月经史 家族史 过敏史 体格检查 查体 专科检查 专科情况 辅助检查 实验室检查 影像学检查
    化验检查 初步诊断 入院诊断 出院诊断 鉴别诊断 诊断 诊断依据 诊疗经过 诊疗计划 治疗经过 治疗方案 治疗计划 治疗 处理 手术记录 手术经过
    病程记录 医嘱 出院医嘱 用药 处方 随访 入院情况 出院情况 生命体征 病史摘要 讨论"""
_GUIDE_ZH = """概述 定义 病因 流行病学 发病机制 病理 病理生理 临床表现 症状 体征 并发症 诊断标准 分型 分期 适应证 禁忌证 适应症 禁忌
    用法用量 不良反应 注意事项 药物相互作用 药理作用 预后 预防 药物治疗 非药物治疗 手术治疗 护理 健康教育 推荐意见 证据等级"""
_PAPER_ZH = "摘要 目的 背景 方法 资料与方法 材料与方法 研究方法 结果 讨论 结论 关键词 参考文献 前言 引言"
_NOTE_EN = """chief complaint|presenting complaint|history of present(?:ing)? illness|hpi|past medical history|pmh|past surgical
    history|family history|social history|allergies|medications|current medications|review of systems|ros|physical
    exam(?:ination)?|vital signs|laboratory|laboratory results|laboratory data|laboratory studies|imaging|investigations|differential diagnosis|
    admission diagnosis|discharge diagnosis|diagnos[ie]s|impression|assessment|assessment and plan|plan|treatment|
    hospital course|discharge medications|discharge instructions|follow[- ]up|subjective|objective|procedure"""
_GUIDE_EN = """definition|etiology|aetiology|epidemiology|pathophysiology|pathogenesis|clinical features|clinical presentation|clinical manifestations|signs and symptoms|symptoms|causes|risk factors|complications|diagnostic criteria|indications|
    contraindications|dosage(?: and administration)?|adverse effects|adverse reactions|side effects|precautions|
    interactions|prognosis|prevention|management|recommendations?|evidence"""
_PAPER_EN = """abstract|background|introduction|objectives?|aims?|methods?|materials and methods|patients and methods|study
    design|setting|participants|interventions?|main outcome measures?|results?|findings|discussion|conclusions?|
    limitations|references|keywords|interpretation|funding"""


def _labels(chinese: str, english: str) -> re.Pattern[str]:
    """Any of the words, the longest that there is, so that "assessment and plan" is not read as "assessment"."""
    han = "|".join(sorted(chinese.split(), key=len, reverse=True))
    latin = "|".join(sorted((" ".join(word.split()) for word in english.split("|")), key=len, reverse=True))
    return re.compile(rf"[【\[]?(?:{han})[】\]]?|(?:{latin})(?!\w)", re.I)


NOTE_LABELS = _labels(_NOTE_ZH, _NOTE_EN)
GUIDE_LABELS = _labels(_GUIDE_ZH, _GUIDE_EN)
PAPER_LABELS = _labels(_PAPER_ZH, _PAPER_EN)
_NUMBER = re.compile(
    r"(?:\d{1,2}(?:\.\d{1,2})*|[一二三四五六七八九十]{1,3}|[（(][一二三四五六七八九十\d]{1,2}[)）])\s*[.、．)）]?\s*"
)
_MARKS = "\u3000 \t*#_"
_AFTER = re.compile(r"[\s\u3000*_]*(?:[:：]|$)|[】\]]")


def section_label(line: str, kinds: tuple[re.Pattern[str], ...] = (NOTE_LABELS, PAPER_LABELS, GUIDE_LABELS)) -> str:
    """The section that a line begins by its label, as it is written, or "": 主诉：反复咳嗽三天 gives 主诉."""
    bare = line.lstrip(_MARKS)
    for text in (bare, bare[number.end() :] if (number := _NUMBER.match(bare)) else ""):
        for kind in kinds if text else ():
            match = kind.match(text)
            if match and (match[0].endswith(("】", "]")) or _AFTER.match(text, match.end())):
                return match[0].strip("【】[]")
    return ""


@dataclass(slots=True)
class _Section:
    """Lines below one heading or label, and the headings alone above it."""

    lines: list[Line]
    path: tuple[str, ...]
    """The headings above and the section's own heading or label."""
    parent: tuple[str, ...]
    """The headings above it, to tell its neighbours by."""
    bare: bool
    """Whether it is a heading alone."""
    is_top: bool
    """Whether it begins with a heading of the level that is never joined across."""

    @property
    def start(self) -> int:
        return self.lines[0].start

    @property
    def end(self) -> int:
        return self.lines[-1].end


class MedicalChunker:
    """One section a chunk, at most ``size`` tokens; ``overlap`` only inside a section that has to be cut."""

    def __init__(self, tokenizer: Tokenizer, size: int, overlap: int = 0) -> None:
        self._tokenizer = tokenizer
        self._size = size
        self._overlap = overlap

    def split(self, document: Document) -> list[Chunk]:
        assembler = Assembler(document, self._tokenizer, self._size)
        return assembler.chunks(self._drafts(assembler))

    def _drafts(self, assembler: Assembler) -> Iterator[Draft]:
        current: _Section | None = None
        for section in _with_headings(_sections(assembler.document)):
            if current is not None and self._joins(assembler, current, section):
                path = _common(current.path, section.path)
                current = _Section([*current.lines, *section.lines], path, current.parent, current.bare, current.is_top)
                continue
            if current is not None:
                yield from self._section(assembler, current)
            current = section
        if current is not None:
            yield from self._section(assembler, current)

    def _joins(self, assembler: Assembler, current: _Section, section: _Section) -> bool:
        """Small sections join while they fit and stand below the same heading."""
        if section.is_top or section.lines[0].after_gap or _is_special(current) or _is_special(section):
            return False
        count = assembler.tokens.count
        near = section.parent in (current.parent, current.path)
        small = count(current.start, current.end) < self._size // SMALL_SHARE
        tiny = count(section.start, section.end) < self._size // TINY_SHARE
        return near and (small or tiny) and count(current.start, section.end) <= assembler.budget(current.start)

    def _section(self, assembler: Assembler, section: _Section) -> Iterator[Draft]:
        start, end = section.start, section.end
        if _is_special(section):
            last = section.lines[-1]
            yield from special_drafts(assembler, Block(last.kind, section.lines[0].element, last.element + 1))
            return
        path = section.path or None
        if assembler.tokens.count(start, end) <= assembler.budget(start, "", path):
            yield Draft(start, end, path=path)
            return
        budget = min(assembler.budget(start, "", path), assembler.budget(end - 1, "", path))
        body = next((line.start for line in section.lines if line.kind != "heading"), start)
        for span in split_span(assembler.tokens, start, end, budget, self._overlap, keep=body):
            yield Draft(*span, path=path)


def _is_special(section: _Section) -> bool:
    return section.lines[-1].is_special


def _with_headings(sections: Iterator[_Section]) -> Iterator[_Section]:
    """Headings alone go with what stands below them, be it a table."""
    headings: _Section | None = None
    for section in sections:
        if headings is not None and not section.lines[0].after_gap:
            section.lines[:0] = headings.lines
            section.is_top = headings.is_top
        elif headings is not None:
            yield headings
        headings = section if section.bare else None
        if headings is None:
            yield section
    if headings is not None:
        yield headings


def _sections(document: Document) -> Iterator[_Section]:
    top = top_level(document.elements)
    section: _Section | None = None
    for line in read_lines(document):
        element = document.elements[line.element]
        label = "" if line.is_special or line.kind == "heading" else section_label(line.text)
        begins = line.is_special or line.kind == "heading" or bool(label) or line.after_gap
        if section is not None and not begins and not _is_special(section):
            section.lines.append(line)
            section.bare = False
            continue
        if section is not None:
            yield section
        is_heading = line.kind == "heading"
        own = (element.text,) if is_heading else (label,) if label else ()
        above = element.heading_path
        bare = is_heading or (bool(label) and _AFTER.sub("", line.text.strip(_MARKS).removeprefix(label)) == "")
        section = _Section([line], (*above, *own), above, bare, is_heading and element.level <= top)
    if section is not None:
        yield section


def _common(a: tuple[str, ...], b: tuple[str, ...]) -> tuple[str, ...]:
    shared = 0
    while shared < min(len(a), len(b)) and a[shared] == b[shared]:
        shared += 1
    return a[:shared]
