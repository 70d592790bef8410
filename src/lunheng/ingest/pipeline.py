"""Parse -> chunk -> embed -> one transaction a few whole documents -> indexes catch up.

Called by the knowledge base's ``add`` and ``sync``, under its writer lock. A file whose bytes, sidecar and
settings are those of the stored version costs a look at its size and times, or its hash where these have changed. A bad file is reported and the rest goes on; a run
that is cut off leaves whole documents only, and the next run goes on where it stopped.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from lunheng.catalog import Catalog, Stamp, vectors
from lunheng.catalog.vectors import Embedded, VectorType
from lunheng.chunking.cut import Cut, cut_document
from lunheng.errors import LunhengError, UnsupportedFormatError
from lunheng.indexes.lexical import SqliteLexicalIndex
from lunheng.ingest.embedding import Passage, PassageEmbedder, passages_of
from lunheng.parsing import file_state, hash_file
from lunheng.parsing.metadata import apply_metadata, checked_acl, checked_own
from lunheng.protocols import Chunker
from lunheng.types import Document, content_id

log = logging.getLogger(__name__)
Status = Literal["added", "updated", "unchanged", "removed", "skipped", "failed"]
_EMBED_BATCH = 256
"""Chunks that go to the embedder together: enough to sort by length, little enough to show progress."""
_FIRST_BATCH = 32
"""The first batch is small and each next one twice the size, so that the embedder does not wait for the parsers."""
_AHEAD = 256
_AHEAD_BYTES = 16_000_000
"""Documents, and bytes of files, that are parsed and cut while the embedder works on a batch."""


@dataclass(frozen=True, slots=True)
class ItemReport:
    """What became of one document."""

    source: str
    status: Status
    reason: str = ""
    """Why it was skipped or failed; the source stands before it already and is not said again."""
    chunks: int | None = None
    """How many were stored; None where nothing was."""
    warnings: tuple[str, ...] = ()
    chunking: str = ""
    """The strategy that ``auto`` chose for it, and why."""


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What became of all of them."""

    items: tuple[ItemReport, ...]
    counts: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, items: Sequence[ItemReport]) -> IngestReport:
        counts: dict[str, int] = {}
        for item in items:
            counts[item.status] = counts.get(item.status, 0) + 1
        return cls(tuple(items), counts)

    @property
    def failed(self) -> tuple[ItemReport, ...]:
        return tuple(i for i in self.items if i.status == "failed")


Progress = Callable[[ItemReport, int, int], None]
"""Called with each finished item, how many are done, and how many there are."""


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the caller says of the documents it adds."""

    collection: str | None = None
    """None: as the document's own sidecar or front matter says, else ``default``."""
    acl: tuple[str, ...] | None = None
    extra: tuple[tuple[str, object], ...] = ()

    @classmethod
    def of(cls, collection: str | None, acl: Iterable[str] | None, metadata: Mapping[str, object] | None) -> Overrides:
        """What was given, checked.

        Raises:
            DataError: an entry of the access list is of no known form, or a key is the name of a filled field.
        """
        own = checked_own(metadata or {})
        return cls(collection, None if acl is None else checked_acl(acl), tuple(sorted(own.items())))

    def apply(self, document: Document) -> Document:
        """The document as the caller says it is; ``extra`` may also name its title, author and dates.

        Raises:
            ParseError: a date among them is none.
            DataError: an entry of the document's own access list is of no known form.
        """
        document = apply_metadata(document, dict(self.extra))
        return replace(
            document,
            collection=document.collection if self.collection is None else self.collection,
            acl=checked_acl(document.acl) if self.acl is None else self.acl,
        )


@dataclass(frozen=True, slots=True)
class _Item:
    """A file or a document that was given."""

    given: Path | Document
    source: str
    named: bool
    """Whether the caller named it, and not a folder that holds it."""
    fingerprint: str
    """Of everything but its bytes that shapes its chunks."""
    file_state: str | None

    @property
    def size(self) -> int:
        """Bytes of a file; 0 where it has gone (which preparing it will say)."""
        if isinstance(self.given, Document):
            return len(self.given.text)
        try:
            return self.given.stat().st_size
        except OSError:
            return 0


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A document between chunking and its transaction."""

    document: Document
    cut: Cut
    fingerprint: str
    passages: dict[str, Passage]
    """What is to be embedded, by hash."""
    file_state: str | None


class Pipeline:
    """Brings documents into the catalog."""

    def __init__(
        self,
        catalog: Catalog,
        lexical: SqliteLexicalIndex,
        parse: Callable[[Path], Document],
        chunker: Chunker,
        embedder: PassageEmbedder,
        settings_fingerprint: str,
        vector_type: VectorType = "float32",
    ) -> None:
        self._catalog = catalog
        self._lexical = lexical
        self._parse = parse
        self._chunker = chunker
        self._embedder = embedder
        self._fingerprint = settings_fingerprint
        self._vector_type = vector_type

    def run(
        self,
        items: Sequence[tuple[Path, bool] | Document],
        overrides: Overrides,
        progress: Progress | None = None,
    ) -> list[ItemReport]:
        """Add or update ``items``; give one report each, in the order in which they were finished."""
        with self._catalog.read() as connection:
            stamps = self._catalog.stamps(connection)
        reports: list[ItemReport] = []

        def done(report: ItemReport) -> None:
            reports.append(report)
            if progress:
                progress(report, len(reports), len(items))

        waiting: dict[str, _Prepared] = {}
        count, batch = 0, _FIRST_BATCH

        def store() -> None:
            nonlocal count, batch
            self._store(list(waiting.values()), done)
            waiting.clear()
            count, batch = 0, min(2 * batch, _EMBED_BATCH)

        changed: list[_Item] = []
        of_files = content_id(self._fingerprint, "", repr(overrides))
        for given in items:
            item = self._item(given, overrides, of_files)
            held = stamps.get(item.source, ())
            if item.file_state and any(
                (s.fingerprint, s.file_state) == (item.fingerprint, item.file_state) for s in held
            ):
                done(ItemReport(item.source, "unchanged"))
            else:
                changed.append(item)
        touched: dict[str, str | None] = {}
        for outcome in self._prepared(changed, overrides, stamps, touched):
            if isinstance(outcome, ItemReport):
                done(outcome)
                continue
            identity = outcome.document.id
            if identity in waiting:  # given twice: the later one counts
                store()
            waiting[identity] = outcome
            count += len(outcome.cut.chunks)
            if count >= batch:
                store()
        store()
        if changed:
            with self._catalog.write() as connection:
                self._catalog.note_file_states(connection, touched)
                self._lexical.settle(connection)
        return reports

    def _item(self, given: tuple[Path, bool] | Document, overrides: Overrides, of_files: str) -> _Item:
        if isinstance(given, Document):
            own = content_id(repr(sorted(given.extra.items())), *given.acl)
            return _Item(given, given.source, True, content_id(self._fingerprint, own, repr(overrides)), None)
        path, named = given
        return _Item(path, str(path), named, of_files, file_state(path))

    def _prepared(
        self,
        items: Sequence[_Item],
        overrides: Overrides,
        stamps: Mapping[str, Sequence[Stamp]],
        touched: dict[str, str | None],
    ) -> Iterator[ItemReport | _Prepared]:
        """Hash, parse and cut some files ahead, in threads (the parsing itself is in child processes)."""
        queue: deque[tuple[Future[ItemReport | _Prepared], int]] = deque()
        ahead = 0
        with ThreadPoolExecutor(max_workers=2, thread_name_prefix="lunheng-parse") as pool:
            remaining = iter(items)
            try:
                while True:
                    while len(queue) < _AHEAD and ahead < _AHEAD_BYTES and (item := next(remaining, None)) is not None:
                        queue.append((pool.submit(self._prepare, item, overrides, stamps, touched), item.size))
                        ahead += queue[-1][1]
                    if not queue:
                        return
                    future, size = queue.popleft()
                    ahead -= size
                    yield future.result()
            finally:
                for future, _ in queue:
                    future.cancel()

    def _prepare(
        self,
        item: _Item,
        overrides: Overrides,
        stamps: Mapping[str, Sequence[Stamp]],
        touched: dict[str, str | None],
    ) -> ItemReport | _Prepared:
        source = item.source
        try:
            content_hash = item.given.content_hash if isinstance(item.given, Document) else hash_file(item.given)
            for stamp in stamps.get(source, ()):
                if (stamp.content_hash, stamp.fingerprint) == (content_hash, item.fingerprint):
                    if item.file_state:
                        touched[stamp.id] = item.file_state
                    return ItemReport(source, "unchanged")
            document = overrides.apply(item.given if isinstance(item.given, Document) else self._parse(item.given))
            document = replace(document, content_hash=content_hash)
            cut = cut_document(self._chunker, document)
            document = replace(document, warnings=(*document.warnings, *cut.notes))
        except UnsupportedFormatError as error:
            return ItemReport(source, "failed" if item.named else "skipped", _reason(source, error))
        except (LunhengError, OSError) as error:
            return ItemReport(source, "failed", _reason(source, error))
        if not cut.chunks:
            return ItemReport(source, "failed", "; ".join(document.warnings) or "no text was found in it")
        if cut.strategy:
            log.info("%s: cut by %s: %s", source, cut.strategy, cut.reason)
        return _Prepared(document, cut, item.fingerprint, passages_of(cut.chunks, document.text), item.file_state)

    def _store(self, prepared: Sequence[_Prepared], done: Callable[[ItemReport], None]) -> None:
        if not prepared:
            return
        passages = {name: passage for p in prepared for name, passage in p.passages.items()}
        fresh = self._embed(passages)
        try:
            reports = self._commit(prepared, passages, fresh)
        except LunhengError as error:
            if len(prepared) == 1:
                source = prepared[0].document.source
                done(ItemReport(source, "failed", _reason(source, error)))
                return
            # One of them cannot be stored; each by itself, the others can.
            for item in prepared:
                self._store([item], done)
            return
        for report in reports:
            done(report)

    def _embed(self, passages: dict[str, Passage]) -> dict[str, Embedded]:
        """What the model makes of those of ``passages`` that have no vector yet."""
        with self._catalog.read() as connection:
            known = vectors.known_hashes(connection, self._embedder.fingerprint, passages)
        return self._embedder.embed({h: p for h, p in passages.items() if h not in known})

    def _commit(
        self, prepared: Sequence[_Prepared], passages: dict[str, Passage], fresh: dict[str, Embedded]
    ) -> list[ItemReport]:
        """Store different documents in one transaction: each whole or not at all, and one wait for the disk."""
        with self._catalog.write() as connection:
            vectors.store(connection, self._embedder.fingerprint, fresh, self._vector_type)
            # A passage whose only other holder was removed since it was looked up has lost its vector.
            absent = passages.keys() - vectors.known_hashes(connection, self._embedder.fingerprint, passages)
            if absent:
                made = self._embedder.embed({h: passages[h] for h in absent})
                vectors.store(connection, self._embedder.fingerprint, made, self._vector_type)
            changes = self._catalog.replace_documents(
                connection, [(p.document, p.cut.chunks, p.fingerprint) for p in prepared]
            )
            self._catalog.note_file_states(connection, {p.document.id: p.file_state for p in prepared if p.file_state})
            removed = [keys for keys, _ in changes if keys.size]
            if removed:
                self._lexical.remove(connection, np.concatenate(removed))
            self._lexical.add(
                connection,
                np.concatenate([keys for _, keys in changes]),
                [c.full_text for p in prepared for c in p.cut.chunks],
            )
        return [
            ItemReport(
                p.document.source,
                "updated" if before.size else "added",
                chunks=len(p.cut.chunks),
                warnings=p.document.warnings,
                chunking=f"{p.cut.strategy}: {p.cut.reason}" if p.cut.strategy else "",
            )
            for p, (before, _) in zip(prepared, changes, strict=True)
        ]


def _reason(source: str, error: Exception) -> str:
    """What ``error`` says, without the source that it begins with."""
    return str(error).removeprefix(f"{source}: ")
