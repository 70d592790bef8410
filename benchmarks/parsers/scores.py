"""The scores of ``parsing.py``: how much of a document's text, tables and headings an engine's Markdown keeps.

- ``text_similarity``: 1 - Levenshtein distance / the longer length, of the plain text with each run of white space as
  one space, and none beside a Chinese character (those are counted by ``stray_spaces``).
- ``stray_spaces``: spaces and single line ends between two Chinese characters, where the truth has none, per 1,000.
- ``teds``: tree edit distance based similarity (Zhong, ShafieiBavani, Jimeno Yepes 2020) of a table: a node for the
  table, each row and each cell; a cell costs the normalised Levenshtein distance of its text to rename. Markdown has
  no merged cells: the better of both ways to write one (text in each place, text in the first) counts. Tables of a
  document are paired as scores best; what one side lacks scores 0.
- ``mhs``: the same measure of the tree of headings, nested by their levels: a node for each heading, renamed at the
  normalised Levenshtein distance of its text. Levels are relative (# then ## is ## then ###). The measure of that name
  in opendataloader-bench takes all levels as one and counts the text below a heading too; this one is stricter on
  nesting and leaves text to ``text_similarity``.
"""

from __future__ import annotations

import html
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from apted import APTED, Config
from rapidfuzz.distance import Levenshtein

_HAN = r"\u3400-\u9fff"
_CJK = r"\u2e80-\u9fff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef“”‘’…—"
_STRAY = re.compile(rf"(?<=[{_HAN}])(?:[ \t\u3000]+\n?[ \t]*|[ \t]*\n[ \t]*)(?=[{_HAN}])")
_RULE = re.compile(r"\s*\|?\s*:?-{2,}:?\s*(?:\|\s*:?-{2,}:?\s*)*\|?\s*$")
_HEADING = re.compile(r"(#{1,6})\s+(.*\S)")
Grid = list[list[str]]


def plain(markdown: str) -> str:
    """The text without the marks of Markdown and of the HTML that some engines put in it."""
    text = re.sub(r"<!--.*?-->", "", markdown, flags=re.S)
    text = re.sub(r"</(?:td|th)>", " ", text)
    text = re.sub(r"<br\s*/?>", " ", text)
    text = re.sub(r"</?[a-zA-Z][^<>\n]*>", "", text)
    lines = []
    for line in text.split("\n"):
        if _RULE.match(line) and "-" in line:
            continue
        if line.lstrip().startswith("|"):
            line = re.sub(r"(?<!\\)\|", " ", line)
        line = re.sub(r"^\s{0,3}#{1,6}\s+", "", line)
        line = re.sub(r"^\s*(?:[-*+•–·◦]|\\-)\s+", "", line)
        lines.append(line)
    text = "\n".join(lines)
    text = re.sub(r"\*\*|__", "", text)
    text = re.sub(r"!?\[([^\]\n]*)\]\([^)\n]*\)", r"\1", text)
    text = re.sub(r"\\([\\`*_{}\[\]()#+\-.!|<>~$&])", r"\1", text)
    return html.unescape(text)


def folded(text: str) -> str:
    text = re.sub(r"\s+", " ", text).strip()
    return re.sub(rf"(?<=[{_CJK}]) | (?=[{_CJK}])", "", text)


def text_similarity(found: str, truth: str) -> float:
    """See above."""
    return Levenshtein.normalized_similarity(folded(found), folded(truth))


def stray_spaces(found: str, truth: str) -> tuple[int, int]:
    """How many, and among how many Chinese characters."""

    def joins(text: str) -> list[str]:
        return [
            "".join(text[max(0, m.start() - 12) : m.start()].split())[-4:]
            + "".join(text[m.end() : m.end() + 12].split())[:4]
            for m in _STRAY.finditer(text)
        ]

    # Blocks, cells and titles of the truth may be parted by spaces and line ends alike.
    allowed = set(joins(re.sub(r"\n+", "\n", truth)))
    strays = sum(join not in allowed for join in joins(found))
    return strays, len(re.findall(f"[{_HAN}]", found))


def tables_of(markdown: str) -> list[Grid]:
    """Pipe tables and HTML tables."""
    tables = [_html_grid(t) for t in re.findall(r"<table.*?</table>", markdown, flags=re.S)]
    rows: Grid = []
    for line in [*markdown.split("\n"), ""]:
        if line.strip().startswith("|"):
            if not _RULE.match(line):
                cells = re.split(
                    r"(?<!\\)\|", line.strip().strip("|") if line.strip().endswith("|") else line.strip()[1:]
                )
                rows.append([plain(c.strip()).strip() for c in cells])
        elif rows:
            if len(rows) > 1:
                tables.append(rows)
            rows = []
    return tables


def _html_grid(table: str) -> Grid:
    rows: Grid = []
    for row in re.findall(r"<tr.*?</tr>", table, flags=re.S):
        cells: list[str] = []
        for attributes, content in re.findall(r"<t[dh]([^>]*)>(.*?)</t[dh]>", row, flags=re.S):
            span = re.search(r"colspan=\W?(\d+)", attributes)
            cells += [plain(content).strip()] * (int(span[1]) if span else 1)
        rows.append(cells)
    return rows


def headings_of(markdown: str) -> list[tuple[int, str]]:
    return [(len(m[1]), plain(m[2]).strip()) for line in markdown.split("\n") if (m := _HEADING.match(line))]


@dataclass
class Node:
    """A node of a tree to compare."""

    kind: str
    text: str = ""
    children: list[Node] = field(default_factory=list)

    def size(self) -> int:
        return 1 + sum(child.size() for child in self.children)


class _Costs(Config):  # type: ignore[misc]
    def rename(self, node1: Node, node2: Node) -> float:
        if node1.kind != node2.kind:
            return 1.0
        return float(Levenshtein.normalized_distance(_bare(node1.text), _bare(node2.text)))

    def children(self, node: Node) -> list[Node]:
        return node.children


def _bare(text: str) -> str:
    return "".join(text.split())


def tree_similarity(a: Node, b: Node) -> float:
    if a == b:
        return 1.0
    distance = APTED(a, b, _Costs()).compute_edit_distance()
    # The root is common to both and is not counted.
    return max(0.0, 1 - distance / max(a.size() - 1, b.size() - 1, 1))


def _table_tree(rows: Grid) -> Node:
    return Node("table", "", [Node("tr", "", [Node("td", cell) for cell in row]) for row in rows])


def teds(found: Grid, truth: dict[str, Any]) -> float:
    ways = [truth["rows"]] if truth["rows"] == truth["sparse"] else [truth["rows"], truth["sparse"]]
    return max(tree_similarity(_table_tree(found), _table_tree(way)) for way in ways)


def tables_score(found: Sequence[Grid], truth: Sequence[dict[str, Any]]) -> float:
    """The best pairing's sum over the larger number of tables."""
    scores = [[teds(grid, table) for grid in found] for table in truth]
    places = list(range(len(found))) + [-1] * len(truth)
    if len(found) > 6:  # as they come: too many to try all
        taken: set[int] = set()
        total = 0.0
        for row in scores:
            free = [(score, j) for j, score in enumerate(row) if j not in taken]
            if free:
                best = max(free)
                taken.add(best[1])
                total += best[0]
        return total / max(len(found), len(truth))
    best_sum = max(
        sum(scores[i][j] if j >= 0 else 0.0 for i, j in enumerate(order))
        for order in set(itertools.permutations(places, len(truth)))
    )
    return best_sum / max(len(found), len(truth))


def mhs(found: Sequence[tuple[int, str]], truth: Sequence[tuple[int, str]]) -> float:
    return tree_similarity(_heading_tree(found), _heading_tree(truth))


def _heading_tree(headings: Sequence[tuple[int, str]]) -> Node:
    root = Node("document")
    trail = [(0, root)]
    for level, text in headings:
        while trail[-1][0] >= level:
            trail.pop()
        node = Node("heading", text)
        trail[-1][1].children.append(node)
        trail.append((level, node))
    return root
