"""The nouns of Lunheng, as frozen dataclasses: what every room takes and gives.

Called by everything; imports nothing of Lunheng. A document's ``text`` is the one canonical
text: elements, chunks and citations all point into it by character offsets, so
``document.text[x.start:x.end] == x.text`` holds for each of them.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import PurePath
from typing import Any, Literal

ElementKind = Literal["heading", "paragraph", "list", "table", "code", "figure", "formula"]
ElementRole = Literal["body", "footnote", "speaker_notes", "comment"]
"""What an element is beside its kind: the running text, or what stands apart from it."""
ScoreKind = Literal["cosine", "bm25", "rrf", "evidence", "rerank"]
Verdict = Literal["supported", "partly", "unsupported"]
Role = Literal["system", "user", "assistant"]
EmbedKind = Literal["query", "passage"]
BBox = tuple[float, float, float, float]
"""Left, top, right, bottom in PDF points from the top left corner of the page as it is shown; of a picture, in its pixels."""

EVERYONE = "*"
"""The grant that every principal holds."""


def content_id(*parts: str | bytes, size: int = 16) -> str:
    """Give the hex BLAKE2b digest (``size`` bytes) of length-delimited ``parts``.

    Two machines that see the same content agree on the id.
    """
    digest = hashlib.blake2b(digest_size=size)
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is asking. Every read takes one; see DESIGN's third invariant."""

    id: str
    groups: frozenset[str] = frozenset()
    sees_all: bool = False

    @classmethod
    def local(cls) -> Principal:
        """The owner of a local, single-user knowledge base, who sees everything in it."""
        return cls("local", sees_all=True)

    @property
    def grants(self) -> frozenset[str]:
        """The access-list entries that this principal satisfies."""
        return frozenset({EVERYONE, f"user:{self.id}", *(f"group:{g}" for g in self.groups)})


@dataclass(frozen=True, slots=True)
class Element:
    """A structural unit that a parser found, in reading order."""

    kind: ElementKind
    text: str
    start: int
    """Offset of ``text`` in the document's text."""
    end: int
    level: int = 0
    """Heading level from 1, or list nesting from 0."""
    heading_path: tuple[str, ...] = ()
    """The headings above this element, outermost first (a heading's own text is not in its path)."""
    page: int | None = None
    """From 1; slide number for presentations; None where the format has no pages."""
    bbox: BBox | None = None
    caption: str | None = None
    is_ocr: bool = False
    ocr_confidence: float | None = None
    hidden: bool = False
    """True for what a reader would not see (hidden sheets, ``display:none``)."""
    role: ElementRole = "body"
    links: tuple[tuple[str, str], ...] = ()
    """Hyperlinks in the text: (the words that are linked, the target as written); never fetched."""
    description: str | None = None
    """What a vision model says of a figure, on one line. It is not the document's: no text, no offset, never quoted."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture inside a document, on its way from the parser to a ``Describer``; it is never stored."""

    element: int
    """The position of its figure in the document's ``elements``."""
    jpeg: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed document: canonical text, elements over it, and properties."""

    source: str
    """Absolute path of a file, or the name that the caller gave."""
    source_type: str
    """Format by content, without the dot: pdf, docx, md ..."""
    text: str
    elements: tuple[Element, ...]
    content_hash: str
    """BLAKE2b of the original bytes."""
    title: str = ""
    author: str | None = None
    created_at: datetime | None = None
    last_modified: datetime | None = None
    language: str = "und"
    collection: str = "default"
    acl: tuple[str, ...] = (EVERYONE,)
    """Grants that may read it: ``*``, ``user:ID``, ``group:NAME``."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """The user's own metadata (JSON values)."""
    warnings: tuple[str, ...] = ()
    inferred: tuple[str, ...] = ()
    """Fields that the file itself does not give, and that were taken from the file system."""
    pictures: tuple[Picture, ...] = ()
    """Those to be described, where parsing.describe_figures asks for them; each stands at one figure."""

    @property
    def id(self) -> str:
        """Identity across versions: the collection and the source."""
        return content_id(self.collection, self.source)


@dataclass(frozen=True, slots=True)
class Metadata:
    """All that is known of a chunk (DESIGN section 3); every field can be filtered on."""

    source: str
    source_type: str
    document_id: str
    chunk_index: int
    page_number: int | None = None
    bbox: BBox | None = None
    section_title: str = ""
    heading_path: tuple[str, ...] = ()
    author: str | None = None
    created_at: datetime | None = None
    last_modified: datetime | None = None
    word_count: int = 0
    token_count: int = 0
    language: str = "und"
    tags: tuple[str, ...] = ()
    legal_clause_id: str | None = None
    references: tuple[str, ...] = ()
    """Clauses that the text refers to, as their ids."""
    table_caption: str | None = None
    parent: tuple[int, int] | None = None
    """The stretch of the document's text that goes to the answer when this chunk is found; None: the chunk itself."""
    embedded_in: tuple[int, int] | None = None
    """The stretch of the document's text that its vector was made in (late chunking); None: prefix and text alone."""
    is_ocr: bool = False
    acl: tuple[str, ...] = (EVERYONE,)
    collection: str = "default"
    content_hash: str = ""
    title: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage: what is embedded, indexed, retrieved and cited."""

    id: str
    text: str
    """Exactly ``document.text[start:end]``: what is shown and quoted."""
    start: int
    end: int
    metadata: Metadata
    prefix: str = ""
    """Stands before ``text`` where it is embedded, indexed and prompted: heading path, repeated table header."""
    element_ids: tuple[int, ...] = ()
    """Positions in the document's ``elements``."""
    kind: str = "text"

    @property
    def full_text(self) -> str:
        """Prefix and text: what the models read."""
        return f"{self.prefix}\n{self.text}" if self.prefix else self.text


@dataclass(frozen=True, slots=True)
class Hit:
    """A retrieved chunk. ``score`` is of ``kind``; scores of different kinds are never compared."""

    chunk: Chunk
    score: float
    kind: ScoreKind
    scores: Mapping[str, float] = field(default_factory=dict)
    """Every score that this hit got on its way, by kind."""
    ranks: Mapping[str, int] = field(default_factory=dict)
    """Its rank (from 1) in each retriever that found it."""


@dataclass(frozen=True, slots=True)
class Citation:
    """A numbered source of an answer: where the quoted span stands."""

    n: int
    document: str
    document_id: str
    chunk_id: str
    page: int | None
    heading_path: tuple[str, ...]
    quote: str
    """Exactly the document's text between ``start`` and ``end``."""
    start: int
    end: int
    supported: Verdict


@dataclass(frozen=True, slots=True)
class SentenceCheck:
    """The verdict on one sentence of an answer, with the reasons against it."""

    text: str
    citations: tuple[int, ...]
    verdict: Verdict
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of a trace: what it got, what it gave, how long it took."""

    name: str
    seconds: float
    given: Mapping[str, Any] = field(default_factory=dict)
    result: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Trace:
    """Everything needed to replay an answer."""

    id: str
    started_at: datetime
    stages: tuple[Stage, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        return tuple(w for stage in self.stages for w in stage.warnings)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer weighed against its sources."""

    question: str
    text: str
    citations: tuple[Citation, ...]
    verdict: Verdict
    confidence: float
    """Calibrated, in [0, 1]: how likely the sources answer the question at all."""
    answered: bool
    """False where the answer says that the sources do not say."""
    checks: tuple[SentenceCheck, ...]
    trace: Trace
    language: str = "und"
    extractive: bool = False


@dataclass(frozen=True, slots=True)
class Source:
    """A numbered source of an answer: the part of a chunk that bears on the question."""

    n: int
    hit: Hit
    start: int
    end: int
    text: str
    """Exactly the document's text between ``start`` and ``end``."""
    shown: tuple[str, ...]
    """What the model is shown of it: sentences, and rows of tables with the names of their columns."""


@dataclass(frozen=True, slots=True)
class SourcesFound:
    """First event of a streamed answer: what it will be written from."""

    sources: tuple[Source, ...]
    confidence: float


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The next piece of a streamed answer, as the model writes it and before it is checked."""

    text: str


@dataclass(frozen=True, slots=True)
class DraftRejected:
    """What was streamed did not pass the check; what follows is written anew, from one source alone."""

    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AnswerDone:
    """Last event of a streamed answer: the checked one, which stands for what was streamed."""

    answer: Answer


AnswerEvent = SourcesFound | TextDelta | DraftRejected | AnswerDone


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation with a language model."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Completion:
    """What a language model gave."""

    text: str
    model: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    finish_reason: str = "stop"


@dataclass(frozen=True, slots=True)
class Likelihood:
    """How likely a language model finds a continuation after a prompt."""

    log_probability: float
    """Natural logarithm, summed over the continuation's tokens."""
    tokens: int
    """Of the continuation."""
    greedy: bool
    """Whether each of them is the one that the model finds most likely."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a parser may use on one document."""

    max_bytes: int = 200_000_000
    max_pages: int = 5_000
    max_expanded_bytes: int = 1_000_000_000
    max_expansion_ratio: float = 200.0
    max_nesting: int = 200
    max_pixels: int = 100_000_000
    max_cells: int = 5_000_000
    max_seconds: float = 300.0
    max_memory_bytes: int = 3_000_000_000
    wide_sheet_columns: int = 20
    """A sheet with more columns is read by row, as ``header: value`` records; 0: never."""
    ocr_figures: int = 0
    """So many pictures inside a document are recognised; 0: none."""
    describe_figures: int = 0
    """So many pictures of a document are handed over, to be described by a vision model; 0: none."""


def to_jsonable(value: Any) -> Any:
    """Turn dataclasses, tuples, sets, datetimes and paths into what ``json.dumps`` takes."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_jsonable(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): to_jsonable(v) for k, v in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted(to_jsonable(v) for v in value)
    if isinstance(value, (list, tuple)):
        return [to_jsonable(v) for v in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, PurePath):
        return str(value)
    return value
