"""The walk over a page's tree: headings, paragraphs, lists, tables, code, figures, formulas, each with its links.

Called by the HTML parser for whole pages and for fragments (in Markdown, mail, e-books, notebooks).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from lunheng.parsing.builder import DocumentBuilder
from lunheng.parsing.html_tables import header_rows, is_data_table, table_grid
from lunheng.parsing.html_visibility import Attributes, Visibility, is_boilerplate, is_note, is_note_mark, paper
from lunheng.parsing.tables import markdown_table, one_header
from lunheng.types import ElementKind, ElementRole

_HEADINGS = {f"h{n}": n for n in range(1, 7)}
_INLINE = (
    frozenset(("a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "code", "data", "del", "dfn", "em", "font"))
    | {"i", "ins", "kbd", "label", "mark", "q", "s", "samp", "small", "span", "strike", "strong", "sub", "sup", "time"}
    | {"tt", "u", "var", "ruby", "rb", "rt", "rp", "wbr", "nobr", "math"}
)
_SPACE = re.compile(r"[ \t\r\n\f]+")
MIN_ALT = 6
"""Alternative text shorter than this (a Chinese character counting as two) names an icon."""
_LINKS_ONLY = 0.9
MAX_TABLES_DEEP = 2
"""Tables inside tables inside tables are read as running text: each level would go through all of its text again."""
Links = list[tuple[str, str]]


class Walker:
    """Goes through the tree once, gathering inline text until a block ends."""

    def __init__(
        self,
        builder: DocumentBuilder,
        visibility: Visibility,
        prune_links: bool = False,
        picture_of: Callable[[str], bytes] | None = None,
    ) -> None:
        """``picture_of`` gives the JPEG at the address of an ``img`` where it is to be described; it fetches nothing."""
        self._builder = builder
        self._picture_of = picture_of
        self._visibility = visibility
        self._prune_links = prune_links
        """Leave out lists that are nothing but links: the page says not where its content is."""
        self._inline: list[str] = []
        self._links: Links = []
        self._hidden = False
        self._role: ElementRole = "body"
        self._white = True
        self._tables_deep = 0
        self._concealed: list[str] = []
        """Hidden text met inside a table, list or heading, which is added after it."""

    def walk(self, node: Any) -> None:
        """Add what stands in ``node``."""
        self._children(node)
        self._flush()

    def _flush(self, kind: ElementKind = "paragraph") -> None:
        text = inline_text("".join(self._inline))
        self._inline.clear()
        links, self._links = self._links, []
        if text.startswith("$") and text.endswith("$") and text.count("$") == 2 and len(text) > 2:
            kind, text = "formula", text[1:-1]
        if text:
            self._builder.add(kind, text, hidden=self._hidden, role=self._role, links=links)

    def _children(self, node: Any) -> None:
        for child in node.iter(include_text=True):
            self._node(child)

    def _node(self, node: Any) -> None:
        tag = node.tag
        if node.is_text_node:
            self._inline.append(node.text_content or "")
            return
        attributes = node.attributes
        if tag == "aside" and is_note(attributes):
            self._flush()
            self._role = "footnote"
            self._children(node)
            self._flush()
            self._role = "body"
            return
        if is_boilerplate(tag, attributes) or (tag == "header" and node.css_first("h1,h2") is None):
            return
        white, self._white = self._white, paper(attributes, self._white) if attributes else self._white
        if not self._hidden and self._visibility.is_hidden(node, attributes, white):
            self._flush()
            self._hidden = True
            self._block(tag, node, attributes)
            self._flush()
            self._hidden = False
            self._builder.warn("text hidden from the reader was found and marked as hidden")
        elif tag == "br":
            self._inline.append("\0")
        elif tag == "math":
            self._inline.append(math_text(node))
        elif tag in _INLINE:
            begin = len(self._inline)
            self._children(node)
            if tag == "a" and is_note_mark(attributes):
                self._inline[begin:] = [f"[^{inline_text(''.join(self._inline[begin:])).strip('[]')}]"]
            elif tag == "a" and len(self._inline) > begin:
                _add_link(self._links, "".join(self._inline[begin:]), attributes)
        elif tag == "img":
            self._image(attributes)
        else:
            self._flush()
            self._block(tag, node, attributes)
            self._flush()
            self._add_concealed()
        self._white = white

    def _add_concealed(self) -> None:
        concealed, self._concealed = self._concealed, []
        for text in concealed:
            self._builder.add("paragraph", text, hidden=True)
            self._builder.warn("text hidden from the reader was found and marked as hidden")

    def _image(self, attributes: Attributes) -> None:
        """A picture in a line of text is decoration; one that stands alone is a figure by its alternative text."""
        if "".join(self._inline).strip():
            return
        alt = inline_text(attributes.get("alt") or "")
        alt = alt if _is_telling(alt) else ""
        picture = self._picture(attributes)
        self._builder.add("figure", alt, caption=alt or None, hidden=self._hidden, picture=picture)

    def _picture(self, attributes: Attributes) -> bytes:
        address = attributes.get("src") or ""
        return self._picture_of(address) if self._picture_of is not None and address and not self._hidden else b""

    def _block(self, tag: str, node: Any, attributes: Attributes) -> None:
        links: Links = []
        if tag in _HEADINGS:
            text = inline_text(self._text(node, links)).replace("\n", " ")
            self._builder.heading(text, _HEADINGS[tag], hidden=self._hidden, links=links)
        elif tag in ("ul", "ol") and node.css_first("pre,table,figure,h2,h3,h4") is None:
            if self._prune_links and _is_menu(node):
                return
            lines = list(self._list_lines(node, 0, links))
            self._builder.add("list", "\n".join(lines), hidden=self._hidden, links=links)
        elif tag == "dl":
            lines = list(self._definitions(node, links))
            self._builder.add("list", "\n".join(lines), hidden=self._hidden, links=links)
        elif tag == "pre":
            self._builder.add("code", node.text(), hidden=self._hidden)
        elif tag == "table" and is_data_table(node):
            self._table(node, links)
        elif tag == "figure" and node.css_first("table,pre,p,ul,ol,math") is None:
            caption = node.css_first("figcaption")
            text = inline_text(self._text(caption, links)) if caption is not None else ""
            images = [image.attributes for image in node.css("img")]
            alts = (inline_text(image.get("alt") or "") for image in images)
            said = [alt for alt in alts if _is_telling(alt) and _packed(alt) not in _packed(text)]
            words = "\n".join(line for line in [*text.split("\n"), *said] if line.strip())
            self._builder.add(
                "figure",
                words,
                caption=" ".join(text.split()) or words or None,
                hidden=self._hidden,
                links=links,
                picture=next((found for image in images if (found := self._picture(image))), b""),
            )
        else:
            self._children(node)

    def _table(self, node: Any, links: Links) -> None:
        caption = next((child for child in node.iter() if child.tag == "caption"), None)
        said = inline_text(self._text(caption, links)).replace("\n", " ") if caption is not None else ""
        if said:
            self._builder.add("paragraph", said, hidden=self._hidden)
        grid = table_grid(node, lambda cell: self._cell(cell, links))
        self._builder.add(
            "table",
            markdown_table(one_header(grid, header_rows(node))),
            caption=said or (self._builder.caption_above() if not self._hidden else None),
            hidden=self._hidden,
            links=links,
        )

    def _cell(self, cell: Any, links: Links) -> str:
        if self._not_seen(cell, cell.attributes):
            return ""
        white = self._white
        for node in (cell.parent, cell):
            self._white = paper(node.attributes, self._white) if node is not None else self._white
        text = inline_text(self._text(cell, links))
        self._white = white
        return text

    def _text(self, node: Any, links: Links) -> str:
        """The visible text below ``node``, blocks on lines of their own; its links go to ``links``."""
        parts: list[str] = []

        def gather(node: Any) -> None:
            for child in node.iter(include_text=True):
                if child.is_text_node:
                    parts.append(child.text_content or "")
                    continue
                tag, attributes = child.tag, child.attributes
                if is_boilerplate(tag, attributes) or self._not_seen(child, attributes):
                    continue
                if tag == "br":
                    parts.append("\0")
                elif tag == "math":
                    parts.append(math_text(child))
                elif tag == "table" and self._tables_deep < MAX_TABLES_DEEP:
                    self._tables_deep += 1
                    rows = table_grid(child, lambda cell: self._cell(cell, links))
                    self._tables_deep -= 1
                    parts.append("\0" + "\0".join("; ".join(_once(row)) for row in rows) + "\0")
                elif tag == "img":
                    alt = inline_text(attributes.get("alt") or "")
                    parts.append(alt if _is_telling(alt) else "")
                else:
                    inline = tag in _INLINE
                    parts.append("" if inline else "\0")
                    begin = len(parts)
                    white, self._white = self._white, paper(attributes, self._white) if attributes else self._white
                    gather(child)
                    self._white = white
                    if tag == "a":
                        _add_link(links, "".join(parts[begin:]), attributes)
                    parts.append("" if inline else "\0")

        gather(node)
        return "".join(parts)

    def _list_lines(self, node: Any, depth: int, links: Links) -> Iterator[str]:
        number = int(start) if (start := node.attributes.get("start") or "1").isdecimal() and len(start) < 7 else 1
        for item in node.iter():
            if item.tag in ("ul", "ol"):  # a list right inside a list: not valid, common
                yield from self._list_lines(item, depth + 1, links)
            attributes = item.attributes
            if item.tag != "li" or is_boilerplate("li", attributes) or self._not_seen(item, attributes):
                continue
            own: list[str] = []
            nested: list[Any] = []
            for child in item.iter(include_text=True):
                if child.is_text_node:
                    own.append(child.text_content or "")
                elif child.tag in ("ul", "ol"):
                    nested.append(child)
                elif not is_boilerplate(child.tag, child.attributes) and not self._not_seen(child, child.attributes):
                    own.append(self._item_part(child, links))
            text = " ".join(inline_text("".join(own)).split("\n"))
            value = (attributes.get("value") or "").strip()
            if node.tag == "ol" and value.isdecimal() and len(value) < 7:
                number = int(value)
            mark = f"{number}." if node.tag == "ol" else "-"
            if text:
                yield f"{'  ' * depth}{mark} {text}"
            number += 1
            for child in nested:
                yield from self._list_lines(child, depth + 1, links)

    def _item_part(self, child: Any, links: Links) -> str:
        if child.tag == "br":
            return "\0"
        if child.tag == "math":
            return math_text(child)
        words = self._text(child, links)
        if child.tag == "a":
            _add_link(links, words, child.attributes)
        return words if child.tag in _INLINE else f"\0{words}\0"

    def _definitions(self, node: Any, links: Links) -> Iterator[str]:
        """``- term: definition`` for each term of a definition list, also where they stand in groups."""
        terms: list[str] = []
        meanings: list[str] = []
        entries = [c for child in node.iter() for c in (child.iter() if child.tag == "div" else [child])]
        for entry in entries:
            if entry.tag not in ("dt", "dd") or self._not_seen(entry, entry.attributes):
                continue
            text = " ".join(inline_text(self._text(entry, links)).split("\n"))
            if entry.tag == "dt":
                if meanings:
                    yield f"- {', '.join(terms)}: {'; '.join(meanings)}" if terms else f"- {'; '.join(meanings)}"
                    terms, meanings = [], []
                terms.append(text)
            elif text:
                meanings.append(text)
        if terms or meanings:
            yield "- " + ": ".join(filter(None, [", ".join(filter(None, terms)), "; ".join(meanings)]))

    def _not_seen(self, node: Any, attributes: Attributes) -> bool:
        """Whether a part of a block is hidden in a block that is not; its text is kept for later."""
        if self._hidden or not self._visibility.is_hidden(node, attributes, self._white):
            return False
        if text := " ".join(node.text().split()):
            self._concealed.append(text)
        return True


def inline_text(raw: str) -> str:
    """Collapse white space as a browser does; ``<br>`` (NUL here) becomes a line break, empty lines go."""
    lines = (_SPACE.sub(" ", line).strip() for line in raw.split("\0"))
    return "\n".join(line for line in lines if line)


def math_text(node: Any) -> str:
    """A ``math`` element as LaTeX between dollar signs, where it or its page gives that; else its letters."""
    annotation = next(
        (a for a in node.css("annotation") if "tex" in (a.attributes.get("encoding") or "").lower()), None
    )
    text = annotation.text() if annotation is not None else node.attributes.get("alttext") or ""
    text = " ".join(text.split())
    if not text:
        return " ".join(node.text().split())
    return (
        f"${text.removeprefix('{' + chr(92) + 'displaystyle ').removesuffix('}') if 'displaystyle' in text else text}$"
    )


def _add_link(links: Links, words: str, attributes: Attributes) -> None:
    target = (attributes.get("href") or "").strip()
    words = " ".join(inline_text(words).split())
    if words and target and target != "#" and not target.lower().startswith(("javascript:", "data:")):
        links.append((words, target))


def _packed(text: str) -> str:
    return "".join(text.split())


def _is_telling(alt: str) -> bool:
    width = sum(2 if "\u2e80" <= c <= "\uffef" else 1 for c in alt)
    return width >= MIN_ALT and not re.fullmatch(r"[\w\-. ]+\.(?:png|jpe?g|gif|svg|webp)", alt, re.I)


def _is_menu(node: Any) -> bool:
    """Whether a list holds nothing but short links: a menu, where the page marks no content of its own."""
    items = [item for item in node.css("li") if item.text(strip=True)]
    if len(items) < 4:
        return False
    text = len("".join(node.text().split()))
    linked = sum(len("".join(a.text().split())) for a in node.css("a"))
    return linked >= _LINKS_ONLY * text and text / len(items) < 40


def _once(row: list[str]) -> list[str]:
    """The texts of a row, each run of equal ones (a spanned cell) once."""
    kept: list[str] = []
    for cell in row:
        flat = " ".join(cell.split())
        if flat and (not kept or kept[-1] != flat):
            kept.append(flat)
    return kept
