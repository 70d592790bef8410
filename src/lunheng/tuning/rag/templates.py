"""Questions without a language model: from tables, records, definitions, labelled items and headings.

Called by qa. A template asks only where the text has the shape that makes its question a sensible one; a chunk that has
none of these shapes is asked nothing. The answer is what the text says there, so it needs no check of its own.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lunheng.answering.statements import split_statements, table_rows
from lunheng.text.language import han_share
from lunheng.types import Chunk


@dataclass(frozen=True, slots=True)
class Draft:
    """A question with its answer, before it is checked."""

    question: str
    answer: str
    made_by: str
    """``table``, ``record``, ``definition``, ``item``, ``heading``, ``question`` (it stood in the text), or ``llm``."""


_LONGEST = 80
"""Characters of a cell that is given as an answer; a longer one is a paragraph of its own."""
_NOTES = frozenset(
    [
        "note",
        "notes",
        "remark",
        "remarks",
        "comment",
        "comments",
        "description",
        "no",
        "id",
        "index",
        "rank",
        "备注",
        "说明",
        "注",
        "注释",
        "序号",
        "编号",
        "描述",
    ]
)
_EMPTY = frozenset(("", "-", "–", "—", "/", "n/a", "none", "无", "null", "nan", "..."))
_DANGLING = re.compile(
    r"\b(for|from|at|in|by|to|of|every|with|per|where|when|who|how|why)$|^(then|and|or|if|per)\b|^\w+ed$", re.I
)
"""Column names that do not name a property: Kept for, Counted from, Opened."""
_PERSON = re.compile(r"(?:人|者|员|经理|总监|主管)$|\b(?:owner|manager|contact|author|director|head|lead)$", re.I)
_COUNT = re.compile(r"\d[\d,]*")
_BULLET = re.compile(r"^(?:[-*•·]|\d+[.、)])\s+")
_SUBHEADING = re.compile(r"^\d+(?:\.\d+)+\s")
_NAMES = ("name", "title", "名称", "姓名", "标题")
_PAIR = re.compile(r"(?P<key>[\w.\-\[\]]{1,60}): (?P<value>.+)")
_NUMBERING = re.compile(
    r"^(?:第[一二三四五六七八九十百\d]+[章节条篇部分]+|[一二三四五六七八九十]+、|[（(][一二三四五六七八九十\d]+[)）]|\d+(?:\.\d+)*[.、)]?)\s*"
)
_GENERIC = frozenset(
    [
        "introduction",
        "overview",
        "summary",
        "general",
        "contents",
        "appendix",
        "notes",
        "note",
        "references",
        "conclusion",
        "background",
        "preface",
        "概述",
        "总则",
        "附则",
        "附录",
        "目录",
        "简介",
        "前言",
        "背景",
        "总结",
        "说明",
        "备注",
        "参考文献",
        "其他",
        "引言",
    ]
)
_POINTING = re.compile(
    r"^(?:本|该|此|这|那|其|它|他|她|我|你|您|如|若|凡|因|但|而|并|也|即|所以|因此|当|每|各|有|在|对|由|从|以|只|均|则"
    r"|(?:this|that|these|those|it|its|he|she|they|we|you|i|there|here|what|which|who|if|when|where|while|as|each|every|"
    r"any|all|both|one|another|such|his|her|their|our|your|my|nobody|everyone|everything|anyone|nothing|no)\b)",
    re.I,
)
_VERBAL = re.compile(
    r"不|没|应当|必须|须|可以|如果|以及|并且|\b(?:that|which|who|if|when|because|not|must|shall|can|is|are)\b", re.I
)
_HAN_DEFINITION = re.compile(r"^[“「]?(?P<x>[^，。；：、“”「」\n]{2,14}?)[”」]?(?:是指|指的是|系指|，指)[^，。]?.{5,}")
_HAN_KIND = re.compile(r"^[“「]?(?P<x>[^，。；：、的“”「」\n]{2,12}?)[”」]?是一[种个项类款套位家].{5,}")
_HAN_AMOUNT = re.compile(
    r"^(?P<x>[^，。；：、\n]{2,24}?[^分作成变改称视认以])(?:为|是)\s*(?:每\S{0,4}\s*)?(?:人民币\s*)?[\d一二三四五六七八九十百两]+(?:[\d,.]*)\s*\S{1,6}"
)
_EN_DEFINITION = re.compile(
    r"^[\"“]?(?P<x>(?:(?:an?|the)\s+)?[\w-]+(?:\s[\w-]+){0,4})[\"”]?\s+(?:is|are|means|refers to|is defined as)\s+"
    r"(?:an?\s|the\s|any\s).{8,}",
    re.I,
)
_EN_AMOUNT = re.compile(r"^(?P<x>The\s[\w'’ -]{3,60}?)\s(?:is|are)\s(?:CNY|USD|EUR|[$€£¥])?\s?\d")
_HAN_ITEM = re.compile(r"^\s*[-•*·]\s*(?P<x>[^，。；：:]{2,20})：(?P<y>.{2,})$", re.M)
_EN_ITEM = re.compile(r"^\s*[-•*·]\s*(?P<x>[A-Z][\w' -]{2,40}): (?P<y>.{4,})$", re.M)
_ASKED = re.compile(
    r"^\s*(?:Q|问|问题|Question)\s*\d*\s*[:：.]\s*(?P<q>[^\n]{4,200})\n+\s*(?:A|答|答案|回答|Answer)\s*\d*\s*[:：.]\s*(?P<a>.{2,})",
    re.S | re.M,
)
_TWO_LANGUAGES = (
    re.compile(r"^(?P<zh>[^A-Za-z]*[\u4e00-\u9fff][^A-Za-z]*?)\s*\b(?P<en>[A-Za-z][^\u4e00-\u9fff]*)$"),
    re.compile(r"^(?P<en>[A-Za-z][^\u4e00-\u9fff]*?)\s+(?P<zh>[\u4e00-\u9fff][^A-Za-z]*)$"),
)


def template_questions(chunk: Chunk) -> list[Draft]:
    """What can be asked of ``chunk``, in its language (Chinese, else English), in the order of the text."""
    zh = chunk.metadata.language == "zh"
    if asked := _ASKED.search(chunk.text):
        return [Draft(asked["q"].strip(), asked["a"].strip(), "question")]
    if chunk.kind == "table":
        return list(_of_table(chunk, zh))
    return [*_of_records(chunk, zh), *_of_sentences(chunk, zh), *_of_items(chunk, zh), *_of_heading(chunk, zh)]


def _of_table(chunk: Chunk, zh: bool) -> Iterator[Draft]:
    """What a column says of a row's first cell, where that names something, and names it once."""
    names, rows = table_rows(chunk)
    if len(names) < 2 or not rows:
        return
    subjects = [row[0] for row in rows]
    worded = {language: _in_one_language(subjects, language) for language in (True, False)}
    often = Counter(worded[zh])
    for place, row in enumerate(rows):
        for name, cell in zip(names[1:], row[1:], strict=False):
            # A column that is named in English alone is asked about in English.
            language = zh and han_share(name) > 0
            subject = worded[language][place]
            if often[worded[zh][place]] == 1 and _names_something(subject):
                yield from _property(
                    subject, _one_language(name, language), _one_language(cell, language), "table", language
                )


def _of_records(chunk: Chunk, zh: bool) -> Iterator[Draft]:
    """What ``key: value`` lines say of the thing that one of them names."""
    for paragraph in re.split(r"\n\s*\n", chunk.text):
        pairs = [_PAIR.fullmatch(line.strip()) for line in paragraph.strip().split("\n")]
        if len(pairs) < 3 or not all(pairs):
            continue
        record = {m["key"].rpartition(".")[2]: m["value"].strip() for m in pairs if m}
        naming = next((key for key in _NAMES if record.get(key)), None)
        if naming is None or not _names_something(record[naming]):
            continue
        for key, value in record.items():
            if key not in _NAMES and not key.endswith("_zh"):
                yield from _property(record[naming], key, value, "record", zh and han_share(key) > 0)


def _of_sentences(chunk: Chunk, zh: bool) -> Iterator[Draft]:
    """What a sentence defines, or gives the amount of."""
    for statement in split_statements(chunk):
        sentence = " ".join(statement.reading.split())
        if len(sentence) > 300 or not re.search(r"[。.！!；;]$", sentence):
            continue
        if zh:
            if (m := _HAN_DEFINITION.match(sentence) or _HAN_KIND.match(sentence)) and _is_subject(m["x"]):
                yield Draft(f"什么是{m['x'].strip()}？", sentence, "definition")
            elif (m := _HAN_AMOUNT.match(sentence)) and _is_subject(m["x"]):
                yield Draft(f"{m['x'].strip()}是多少？", sentence, "definition")
        elif (m := _EN_DEFINITION.match(sentence) or _EN_AMOUNT.match(sentence)) and _is_subject(m["x"]):
            subject = re.sub(r"^(An?|The)\b", lambda a: a.group().lower(), m["x"].strip())
            verb = "are" if re.match(re.escape(m["x"]) + r"[\"”]?\s+are\b", sentence.lstrip('"“')) else "is"
            yield Draft(f"What {verb} {subject}?", sentence, "definition")


def _of_items(chunk: Chunk, zh: bool) -> Iterator[Draft]:
    """What a labelled item of a list says, under its heading."""
    heading = _heading(chunk, zh)
    if not heading:
        return
    for m in (_HAN_ITEM if zh else _EN_ITEM).finditer(chunk.text):
        label, said = m["x"].strip(), m["y"].strip()
        if not _names_something(label) or _POINTING.match(label):
            continue
        if zh:
            yield Draft(f"关于{heading}，{label}是怎么规定的？", f"{label}：{said.rstrip('。')}。", "item")
        else:
            yield Draft(f"What does “{heading}” say about {_lowered(label)}?", f"{label}: {said}", "item")


def _of_heading(chunk: Chunk, zh: bool) -> Iterator[Draft]:
    """What a section says, where the chunk begins it."""
    heading = _heading(chunk, zh)
    whole = chunk.metadata.heading_path[-1] if chunk.metadata.heading_path else ""
    if not heading or whole not in chunk.text.split("\n")[:8]:
        return
    body = [s.reading.strip() for s in split_statements(chunk)]
    told = [line for line in body if not _is_heading(line, chunk) and not _SUBHEADING.match(line)]
    said = [_BULLET.sub("", line) for line in told if _BULLET.match(line) or line.endswith(tuple("。！；.!;”’"))][:3]
    if sum(map(len, said)) < (20 if zh else 60):
        return
    stopped = [line if line[-1:] in "。！？；.!?;" else line + ("；" if zh else ";") for line in said]
    answer = ("" if zh else " ").join(stopped).rstrip("；;")
    if whole.rstrip().endswith(("?", "？")):
        yield Draft(heading if heading.endswith(("?", "？")) else heading + ("？" if zh else "?"), answer, "question")
        return
    title = _one_language(chunk.metadata.title, zh)
    heading = heading.removeprefix("关于")
    if not title or title in (heading, whole) or (han_share(title) > 0) != zh:
        question = f"关于{heading}有哪些规定？" if zh else f"What is said about {_lowered(heading)}?"
    else:
        question = (
            f"《{title}》关于{heading}是怎么说的？" if zh else f"What does “{title}” say about {_lowered(heading)}?"
        )
    yield Draft(question, answer, "heading")


def _property(subject: str, name: str, value: str, made_by: str, zh: bool) -> Iterator[Draft]:
    """Asks for the property ``name`` of ``subject``, where it is one and has a value."""
    name, value = name.replace("_", " ").strip(), value.strip().rstrip("。. ")
    if not _is_property(name, zh) or not _is_value(value) or value == subject:
        return
    if zh:
        ending = "是谁" if _PERSON.search(name) else "是多少" if value[:1].isdigit() else "是什么"
        yield Draft(f"{subject}的{name}{ending}？", f"{subject}的{name}是{value}。", made_by)
    elif _DANGLING.search(name):
        named = _lowered(name)
        yield Draft(f"What is given under “{name}” for {subject}?", f"{subject}: {named} {value}.", made_by)
    elif name.endswith("s") and not name.endswith("ss") and _COUNT.fullmatch(value):
        named = _lowered(name)
        yield Draft(f"How many {named} are given for {subject}?", f"{subject}: {value} {named}.", made_by)
    else:
        named = f"{_lowered(name)} of {subject}"
        plural = re.search(r"[^s]s$", name) is not None and not re.search(r"\s(?:of|per|outside|in|for)\s", name)
        asked, verb = ("Who" if _PERSON.search(name) else "What"), ("are" if plural else "is")
        yield Draft(f"{asked} {verb} the {named}?", f"The {named} {verb} {value}.", made_by)


def _lowered(words: str) -> str:
    """Without the capital of a heading, unless another capital tells that it is a name or an acronym."""
    return words if len(words) < 2 or words[1:] != words[1:].lower() else words[0].lower() + words[1:]


def _heading(chunk: Chunk, zh: bool) -> str:
    """The nearest heading without its number, in one language; empty where it names nothing."""
    path = chunk.metadata.heading_path
    heading = _NUMBERING.sub("", _one_language(_NUMBERING.sub("", path[-1]), zh)).strip(" :：") if path else ""
    if (
        heading.casefold() in _GENERIC
        or (han_share(heading) > 0) != zh
        or not _names_something(heading)
        or len(heading) > _LONGEST
    ):
        return ""
    return heading


def _is_heading(text: str, chunk: Chunk) -> bool:
    return " ".join(text.split()) in {" ".join(h.split()) for h in (*chunk.metadata.heading_path, chunk.metadata.title)}


def _in_one_language(texts: Sequence[str], zh: bool) -> list[str]:
    """The column's texts, or their part in one language where most of them are written in two."""
    parts = [_parts(text) for text in texts]
    worded = sum(any(c.isalpha() for c in text) for text in texts)
    if worded and sum(p is not None for p in parts) >= 2 * worded / 3:
        return [text.strip() if p is None else p[0 if zh else 1] for text, p in zip(texts, parts, strict=True)]
    return [text.strip() for text in texts]


def _one_language(text: str, zh: bool) -> str:
    parts = _parts(text)
    return text.strip() if parts is None else parts[0 if zh else 1]


def _parts(text: str) -> tuple[str, str] | None:
    """(Chinese, English) of a text that says the same in both, one after the other."""
    for form in _TWO_LANGUAGES:
        if (m := form.match(text.strip())) and m["zh"].strip() and len(m["en"].strip()) > 2:
            return m["zh"].strip(), m["en"].strip()
    return None


def _names_something(text: str) -> bool:
    letters = sum(c.isalpha() for c in text)
    digits = sum(c.isdigit() for c in text)
    return 2 <= len(text) <= _LONGEST and letters >= 2 and letters > digits and not text.endswith(("。", ".", "；"))


def _is_property(name: str, zh: bool) -> bool:
    two = zh and re.search(r"[a-z]{3}", name)  # still in two languages
    return any(c.isalpha() for c in name) and len(name) <= 40 and name.casefold().strip(". ") not in _NOTES and not two


def _is_value(text: str) -> bool:
    return text.casefold() not in _EMPTY and len(text) <= _LONGEST and not re.search(r"[。!！?？]\s*\S", text)


def _is_subject(text: str) -> bool:
    return _names_something(text.strip()) and not _POINTING.match(text.strip()) and not _VERBAL.search(text)
