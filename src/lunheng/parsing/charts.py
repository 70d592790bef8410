"""The numbers behind a chart of an Office document, as the rows of a table.

Called by the docx and pptx parsers. The cached values are read (ECMA-376 part 1, 21.2), as the program last drew them;
the workbook inside is not opened.
"""

from __future__ import annotations

from typing import Any

C = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
MAX_POINTS = 10_000


def chart_table(root: Any) -> tuple[str, list[list[str]]]:
    """(its title or "", header and rows: a category a row, a series a column) from a ``c:chartSpace``."""
    title = root.find(f".//{C}chart/{C}title")
    words = " ".join("".join(t.text or "" for t in title.iter(f"{A}t", f"{C}v")).split()) if title is not None else ""
    names: list[str] = []
    columns: list[dict[int, str]] = []
    categories: dict[int, str] = {}
    for series in root.iter(f"{C}ser"):
        points = next((series.find(f"{C}{n}") for n in ("val", "yVal") if series.find(f"{C}{n}") is not None), None)
        if points is None:
            continue
        name = series.find(f"{C}tx")
        names.append(" ".join("".join(v.text or "" for v in name.iter(f"{C}v")).split()) if name is not None else "")
        columns.append(_points(points))
        for kind in ("cat", "xVal"):
            if (found := series.find(f"{C}{kind}")) is not None:
                categories = {**_points(found), **categories}
    places = sorted({*categories, *(place for column in columns for place in column)})
    if not columns or not places:
        return words, []
    rows = [[categories.get(place, ""), *(column.get(place, "") for column in columns)] for place in places]
    return words, [["", *names], *rows]


def _points(node: Any) -> dict[int, str]:
    found: dict[int, str] = {}
    levels = list(node.iter(f"{C}lvl")) or [node]
    for level in reversed(levels):  # the innermost level of the categories is the first
        for point in level.iter(f"{C}pt"):
            place = point.get("idx") or ""
            value = point.findtext(f"{C}v")
            if place.isdecimal() and value and len(found) < MAX_POINTS:
                at = int(place)
                found[at] = f"{found[at]} {value}" if at in found and len(levels) > 1 else tidy_number(value)
    return found


def tidy_number(text: str) -> str:
    """A cached number without the noise of its binary form: 0.30000000000000004 is 0.3."""
    try:
        number = float(text)
    except ValueError:
        return text.strip()
    if number != number or abs(number) == float("inf"):
        return text.strip()
    return str(int(number)) if number.is_integer() and abs(number) < 1e15 else f"{number:.12g}"
