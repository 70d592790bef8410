"""What pictures show, in words: each picture that a parser handed over goes to a vision model, its answer to the figure.

Called by the knowledge base between parsing and chunking, and by ``lunheng parse`` and ``chunk``: the parser's own process
has no network. A description is the model's and not the document's: it is embedded, indexed and shown as such, and never
part of the text. A picture that cannot be described costs a warning.
"""

from __future__ import annotations

from dataclasses import replace

from lunheng.answering.cached_llm import CompletionCache
from lunheng.errors import ModelError, ModelUnavailableError
from lunheng.parsing.builder import clean_text
from lunheng.protocols import Describer
from lunheng.types import Completion, Document, Element, content_id

LONGEST = 1_200
"""Characters of a description that are kept."""
_CONTEXT = 600
"""Characters of the document that the model is shown with a picture."""


def with_descriptions(document: Document, describer: Describer | None) -> Document:
    """``document`` with its pictures described, and without the pictures."""
    if describer is None or not document.pictures:
        return replace(document, pictures=())
    elements = list(document.elements)
    reasons: list[str] = []
    described = 0
    for picture in document.pictures:
        element = elements[picture.element]
        try:
            said = describer.describe(picture.jpeg, _around(document, element), document.language)
        except ModelUnavailableError as error:  # it has been tried again already: the next would wait as long
            reasons.append(str(error))
            break
        except ModelError as error:
            reasons.append(str(error))
            continue
        line = " ".join(clean_text(said).split())[:LONGEST]
        if not line:
            reasons.append("the model answered nothing")
            continue
        elements[picture.element] = replace(element, description=line)
        described += 1
    warnings = document.warnings
    if missing := len(document.pictures) - described:
        said = "; ".join(dict.fromkeys(reasons))
        warnings = (*warnings, f"{missing} of {len(document.pictures)} pictures were not described: {said}")
    return replace(document, elements=tuple(elements), pictures=(), warnings=warnings)


def _around(document: Document, element: Element) -> str:
    """The title, the headings, the caption and the figure's own text, each once."""
    parts = dict.fromkeys((document.title, *element.heading_path, element.caption or "", element.text))
    return " | ".join(" ".join(part.split()) for part in parts if part.strip())[:_CONTEXT]


class CachedDescriber:
    """``describer`` with ``cache`` before it: the same picture in the same place is described once."""

    def __init__(self, describer: Describer, cache: CompletionCache) -> None:
        self._describer = describer
        self._cache = cache

    @property
    def fingerprint(self) -> str:
        return self._describer.fingerprint

    def describe(self, jpeg: bytes, context: str, language: str) -> str:
        key = content_id("picture", jpeg, context, language)
        if (known := self._cache.get(self.fingerprint, key)) is not None:
            return known.text
        said = self._describer.describe(jpeg, context, language)
        self._cache.put(self.fingerprint, key, Completion(said, self.fingerprint))
        return said

    def close(self) -> None:
        """Free the describer, where it can be freed."""
        close = getattr(self._describer, "close", None)
        if close is not None:
            close()
