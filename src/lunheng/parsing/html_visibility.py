"""What of a web page a reader does not see, and what is not the page's own content.

Called by the HTML parser. Hidden text is kept and flagged, since instructions to a model ride there: by attributes,
inline styles, and the style sheets in the page itself (others are never fetched). Navigation, banners and the like
are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

Attributes = dict[str, str | None]

_SKIPPED = frozenset(
    ("script", "style", "noscript", "template", "svg", "iframe", "nav", "footer", "aside", "button", "select", "input")
) | {
    "textarea",
    "dialog",
    "canvas",
    "object",
    "head",
    "link",
    "meta",
    "audio",
    "video",
    "map",
    "-comment",
    "_comment",
    "!doctype",
}
_ROLES = frozenset({"navigation", "banner", "contentinfo", "search", "menu", "menubar", "complementary", "toolbar"})
_ROLES_OF_BANNERS = frozenset({"alertdialog", "dialog"})
_BOILERPLATE_NAME = re.compile(
    r"(?:^|[\s_-])(?:navbar|nav|navigation|menu|sidebar|breadcrumbs?|cookies?|gdpr|consent|advert|advertisement|ads"
    r"|share|social|pagination|pager|toc|navbox|dropdown|portlet|newsletter|subscribe|related-posts|comments-area"
    r"|mw-editsection|reflist|noprint|catlinks|printfooter|mw-jump-link|mw-indicators|ambox|copyright|sitemap"
    r"|skip-link|skip-to-content|site-footer|site-header|footer|topbar|back-to-top)(?:$|[\s_-])",
    re.I,
)
_NEVER_BOILERPLATE = frozenset({"html", "body", "main", "article", "h1", "h2", "table", "tbody", "tr", "td", "th"})
_HIDDEN_STYLE = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)"
    r"|font-size\s*:\s*(?:0(?:\.\d+)?|[01]px|1pt)\s*(?:px|pt|em|rem|%)?\s*(?:[;!]|$)"
    r"|opacity\s*:\s*0?\.?0\d?\s*(?:[;!]|$)|text-indent\s*:\s*-\d{3,}|(?:left|top|right|margin-left)\s*:\s*-\d{4,}"
    r"|clip\s*:\s*rect\(\s*[01](?:px)?[\s,]+[01](?:px)?[\s,]+[01](?:px)?[\s,]+[01](?:px)?\s*\)"
    r"|clip-path\s*:\s*inset\(\s*(?:50|100)%|transform\s*:\s*scale\(\s*0\s*\)|(?<![-\w])color\s*:\s*transparent",
    re.I,
)
_NO_SIZE = re.compile(r"(?:^|;)\s*(?:max-)?(?:height|width)\s*:\s*[01](?:px)?\s*(?:[;!]|$)", re.I)
_CLIPPED = re.compile(r"overflow(?:-[xy])?\s*:\s*hidden", re.I)
_COLOUR = re.compile(r"(?:^|;)\s*(color|background(?:-color)?)\s*:\s*([^;!]+)", re.I)
_BRACE = re.compile(r"([{}])")
_CSS_COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)|<!--|-->", re.S)
_SIMPLE_SELECTOR = re.compile(r"[\w\-.#\s>*]+")
_STYLE = re.compile(r"<style\b[^>]{0,500}>(.*?)(?:</style\s*>|\Z)", re.I | re.S)
MAX_RULES = 100
MAX_SHEET = 500_000
_BLOCKS = frozenset(["div", "section", "p", "ul", "ol", "li", "table", "article", "aside", "main", "dl", "blockquote"])


def hiding_selectors(page: str) -> list[str]:
    """Selectors by which the page's own style sheets hide elements on a screen."""
    found: list[str] = []
    for sheet in _STYLE.findall(page):
        for selectors, declarations in _rules(_CSS_COMMENT.sub("", sheet[:MAX_SHEET])):
            if is_hiding_style(declarations):
                found += [s.strip() for s in selectors.split(",") if _SIMPLE_SELECTOR.fullmatch(s.strip() or "!")]
    return found[:MAX_RULES]


def _rules(sheet: str) -> Iterator[tuple[str, str]]:
    """(selectors, declarations) of the rules that hold everywhere: those inside ``@media`` and the like are passed by."""
    depth, selectors = 0, ""
    for part in _BRACE.split(sheet):
        if part == "{":
            depth += 1
        elif part == "}":
            depth = max(depth - 1, 0)
        elif depth == 0:
            selectors = part.rpartition(";")[2].strip()
        elif depth == 1 and selectors and "@" not in selectors:
            yield selectors, part


def is_hiding_style(style: str) -> bool:
    """Whether CSS declarations hide what they are on, whatever surrounds it."""
    if _HIDDEN_STYLE.search(style):
        return True
    if _NO_SIZE.search(style) and _CLIPPED.search(style):
        return True
    colours = _colours(style)
    ink, paper = colours.get("color"), colours.get("background")
    return ink is not None and ink == paper


class Visibility:
    """What one page shows."""

    def __init__(self, tree: Any | None = None, selectors: list[str] | None = None) -> None:
        self._hidden: set[int] = set()
        for selector in selectors or ():
            try:
                self._hidden.update(node.mem_id for node in tree.css(selector)) if tree is not None else None
            except (ValueError, RuntimeError):  # a selector that the library does not know hides nothing
                continue

    def is_hidden(self, node: Any, attributes: Attributes, white_paper: bool = True) -> bool:
        """Whether a reader does not see ``node``; ``white_paper``: what it stands on is white, as far as known."""
        if not attributes:
            return node.mem_id in self._hidden
        if "hidden" in attributes or node.mem_id in self._hidden:
            return True
        if attributes.get("aria-hidden") == "true" and node.tag in _BLOCKS:
            return True
        style = attributes.get("style") or ""
        colour = attributes.get("color") if node.tag == "font" else None
        if not style and not colour:
            return False
        if style and is_hiding_style(style):
            return True
        colours = _colours(style)
        ink = colours.get("color") or _plain_colour(colour or "")
        return white_paper and ink == "white" and not _has_paper(colours, attributes)


def paper(attributes: Attributes, white_paper: bool) -> bool:
    """Whether what stands in an element stands on white, given what the element stands on."""
    colours = _colours(attributes.get("style") or "")
    if _has_paper(colours, attributes):
        return (colours.get("background") or _plain_colour(attributes.get("bgcolor") or "")) == "white"
    return white_paper


def _has_paper(colours: dict[str, str], attributes: Attributes) -> bool:
    return (
        "background" in colours
        or bool(attributes.get("bgcolor"))
        or "background-image" in (attributes.get("style") or "")
    )


def _colours(style: str) -> dict[str, str]:
    return {
        "color" if name.lower() == "color" else "background": _plain_colour(value)
        for name, value in _COLOUR.findall(style)
    }


def _plain_colour(value: str) -> str:
    value = re.sub(r"\s+", "", value.lower())
    if value in ("#fff", "#ffffff", "rgb(255,255,255)", "white", "#fefefe", "rgba(255,255,255,1)", "hsl(0,0%,100%)"):
        return "white"
    return value


def is_note(attributes: Attributes) -> bool:
    """A footnote of an e-book, which stands in an ``aside`` of its own."""
    kinds = {*(attributes.get("epub:type") or "").split(), attributes.get("role") or ""}
    return bool(kinds & {"footnote", "endnote", "rearnote", "doc-footnote", "doc-endnote"})


def is_note_mark(attributes: Attributes) -> bool:
    """The place where a footnote is called."""
    return "noteref" in (attributes.get("epub:type") or "").split() or attributes.get("role") == "doc-noteref"


def is_boilerplate(tag: str, attributes: Attributes) -> bool:
    """Whether an element is not of the page's own content: navigation, banners, cookie notices, scripts."""
    if tag in _SKIPPED:
        return True
    if not attributes:
        return False
    role = attributes.get("role") or ""
    if role in _ROLES or (role in _ROLES_OF_BANNERS and tag != "body"):
        return True
    names = attributes.get("class"), attributes.get("id")
    if tag in _NEVER_BOILERPLATE or not any(names):
        return tag == "table" and bool(re.search(r"\bnavbox\b|\bambox\b", names[0] or ""))
    if tag == "sup" and "reference" in (names[0] or ""):
        return True
    if tag == "span" and "katex-html" in (names[0] or ""):
        return True  # said again, for screens; the formula itself stands beside it
    return bool(_BOILERPLATE_NAME.search(" ".join(filter(None, names))))
