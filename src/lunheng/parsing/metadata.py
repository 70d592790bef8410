"""What is known of a document beside its text: front matter, sidecar file, file system.

Called by ``dispatch`` and the Markdown parser. A sidecar stands beside its document as
``NAME.EXT.meta.json``. The keys title, author, collection, acl, created_at and last_modified set
the document's own fields; every other key goes to ``extra``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import fields as fields_of
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lunheng.errors import DataError, ParseError
from lunheng.parsing.builder import DocumentBuilder
from lunheng.types import EVERYONE, Document, Metadata

SIDECAR_SUFFIX = ".meta.json"
_GIVEN = {"title", "author", "created_at", "last_modified", "tags", "acl", "collection"}
_FILLED = {field.name for field in fields_of(Metadata)} - _GIVEN
_DATE = re.compile(r"((?:19|20)\d\d)\s*[-/年]\s*(\d{1,2})\s*[-/月]\s*(\d{1,2})\s*日?")
_ITEM = re.compile(r"\s*(\"[^\"]*\"|'[^']*'|[^,，]+)")
_FRONT = re.compile(r"\A---[ \t]*\n(.*?\n)?(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.S)
_ENTRY = re.compile(r"([\w.-]+)[ \t]*:(?:[ \t]+(.*)|[ \t]*)$")


def sidecar_of(source: Path) -> Path:
    """Where the sidecar of ``source`` would stand: beside it, as ``NAME.EXT.meta.json``."""
    return source.with_name(source.name + SIDECAR_SUFFIX)


def is_sidecar(path: Path | str) -> bool:
    """Whether ``path`` is a sidecar, which is never a document itself."""
    return str(path).endswith(SIDECAR_SUFFIX)


def read_sidecar(source: Path) -> dict[str, Any]:
    """The sidecar's object, {} where there is none.

    Raises:
        ParseError: if it is not a JSON object; permissions may stand in it, so it is never skipped.
    """
    path = sidecar_of(source)
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise ParseError(f"{path}: not readable as JSON ({error}); mend or remove it") from error
    if not isinstance(found, dict):
        raise ParseError(f"{path}: a sidecar holds one JSON object, this holds {type(found).__name__}; mend it")
    return found


def split_front_matter(text: str, builder: DocumentBuilder) -> tuple[dict[str, Any], str]:
    """Cut YAML front matter off: (its keys, the rest).

    Only what people write there is read: ``key: value``, ``[a, b]``, and lists of ``- item``. A line
    of another form is noted in the warnings.
    """
    match = _FRONT.match(text.lstrip("\ufeff"))
    if not match or not match.group(1):
        return {}, text
    found: dict[str, Any] = {}
    key = ""
    for line in match.group(1).split("\n"):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if (entry := _ENTRY.match(line)) is not None:
            key = entry.group(1)
            found[key] = read_value(entry.group(2) or "")
        elif key and (item := re.match(r"\s*-\s+(.*)$", line)):
            before = found[key] if isinstance(found[key], list) else []
            found[key] = [*before, read_value(item.group(1))]
        else:
            builder.warn(f"front matter line not understood: {line.strip()[:80]!r}")
    return found, text.lstrip("\ufeff")[match.end() :]


def read_value(text: str) -> Any:
    """What a person means by a value: a number, true or false, a list ``[a, b]``, a date (as ISO text), else text.

    Called for front matter and for ``--meta key=value``. Numbers that have leading zeros are text (007).
    """
    text = text.strip()
    if text.startswith("[") and text.endswith("]"):
        return [read_value(item) for item in _items(text[1:-1])]
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1]
    text = re.sub(r"\s+#.*$", "", text)
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if re.fullmatch(r"-?(?:0|[1-9]\d{0,14})", text):
        return int(text)
    if re.fullmatch(r"-?\d+\.\d+(?:[eE][-+]?\d{1,3})?", text):
        return float(text)
    if (day := _DATE.fullmatch(text)) is not None and 1 <= int(day[2]) <= 12 and 1 <= int(day[3]) <= 31:
        return f"{day[1]}-{int(day[2]):02d}-{int(day[3]):02d}"
    return text


def _items(text: str) -> list[str]:
    """The parts between commas, but for those in quotation marks."""
    return [item for item in _ITEM.findall(text) if item.strip()]


def apply_metadata(document: Document, given: Mapping[str, Any]) -> Document:
    """Lay ``given`` over the document.

    Raises:
        ParseError: if acl is neither a string nor a list of ``*``, ``user:ID`` and ``group:NAME``, or a date is not ISO 8601.
    """
    if not given:
        return document
    rest = dict(given)
    fields: dict[str, Any] = {}
    for key in ("title", "author", "collection"):
        if rest.get(key):
            value = rest.pop(key)
            fields[key] = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    if "acl" in rest:
        fields["acl"] = _acl(rest.pop("acl"), document.source)
    for key, names in (("created_at", ("created_at", "date")), ("last_modified", ("last_modified",))):
        for name in names:
            if rest.get(name):
                fields[key] = _moment(rest.pop(name), name, document.source)
    # What was said of it is not inferred any more.
    inferred = tuple(name for name in document.inferred if name not in fields)
    return replace(document, **fields, inferred=inferred, extra={**document.extra, **rest})


def _acl(value: Any, source: str) -> tuple[str, ...]:
    grants = [value] if isinstance(value, str) else value
    if not isinstance(grants, list) or not all(isinstance(g, str) for g in grants):
        raise ParseError(f"{source}: acl must be a list such as ['group:staff', 'user:ann'], not {value!r}; mend it")
    try:
        return checked_acl(grants)
    except DataError as error:
        raise ParseError(f"{source}: {error}") from error


def checked_acl(grants: Iterable[str]) -> tuple[str, ...]:
    """``grants`` as an access list.

    Raises:
        DataError: one is neither ``*``, ``user:ID`` nor ``group:NAME``; nobody would ever have it.
    """
    found = tuple(grants)
    for grant in found:
        kind, _, name = grant.partition(":")
        if grant != EVERYONE and (kind not in ("user", "group") or not name or name != name.strip()):
            bare = (name or kind).strip() or "ID"
            raise DataError(
                f"acl: {grant!r} is neither *, user:ID nor group:NAME; did you mean user:{bare} or group:{bare}?"
            )
    return found


def checked_own(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    """``metadata`` of one's own, with no name that a filter would take for a field of another meaning.

    Raises:
        DataError: a name is that of a field which is filled from the document.
    """
    for key in metadata:
        if key in _FILLED:
            raise DataError(
                f"metadata: {key!r} is filled from the document itself and would not be found; take another name, "
                f"such as my_{key}"
            )
    return metadata


def _moment(value: Any, name: str, source: str) -> datetime:
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError as error:
        raise ParseError(f"{source}: {name} must be an ISO 8601 date, not {value!r}; mend it") from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def with_file_times(document: Document, source: Path) -> Document:
    """Fill the times that the file's own properties do not give from the file system."""
    stat = source.stat()
    modified = document.last_modified or datetime.fromtimestamp(stat.st_mtime, UTC)
    created = document.created_at or datetime.fromtimestamp(getattr(stat, "st_birthtime", stat.st_mtime), UTC)
    inferred = tuple(name for name in ("created_at", "last_modified") if getattr(document, name) is None)
    return replace(document, created_at=created, last_modified=modified, inferred=inferred)
