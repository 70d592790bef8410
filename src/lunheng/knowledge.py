"""``KnowledgeBase``: the front door. Wires the rooms together and holds no logic of its own.

Called by users, the CLI and the server.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from filelock import FileLock, Timeout
from sqlalchemy import inspect

from lunheng.catalog import Catalog, StoredDocument, jobs, model_history
from lunheng.catalog.schema import chunks as chunks_table
from lunheng.chunking import fingerprint as chunking_fingerprint
from lunheng.chunking import make_chunker
from lunheng.config import Settings
from lunheng.errors import BusyError, ConfigError, DataError, LunhengError, ModelNotPulledError, NotFoundError
from lunheng.indexes.filters import Filter, check_fields, parse_filter, to_sql
from lunheng.indexes.lexical import SqliteLexicalIndex
from lunheng.ingest import files, maintenance
from lunheng.ingest.backup import CATALOG_NAME
from lunheng.ingest.figures import with_descriptions
from lunheng.ingest.migrate_embedder import migrate
from lunheng.ingest.pipeline import IngestReport, ItemReport, Overrides, Pipeline, Progress
from lunheng.models import load_embedder
from lunheng.parsing import fingerprint as parsing_fingerprint
from lunheng.parsing import parse_file
from lunheng.parts import Parts, passage_embedder
from lunheng.protocols import LLM, Embedder, Reranker
from lunheng.retrieval.pipeline import Mode, SearchResult
from lunheng.tracing import Tracer
from lunheng.types import Answer, AnswerDone, AnswerEvent, Chunk, Document, Hit, Message, Principal, content_id

FilterLike = Filter | str | Mapping[str, Any] | None


class KnowledgeBase:
    """Documents in, answers weighed against their sources out.

    Safe for concurrent reads beside one writer, in threads and in processes. Open it with ``open`` and
    close it, or use it as a context manager.
    """

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        embedder: Embedder | None = None,
        llm: LLM | None = None,
        reranker: Reranker | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder.absolute()
        self.settings = settings
        self._writer_lock = FileLock(self.folder / "writer.lock")
        self._lexical = SqliteLexicalIndex()
        self._catalog = Catalog(self.folder / CATALOG_NAME)
        with self._catalog.read() as connection:
            made = inspect(connection).has_table("lexical_chunks")
        if not made:
            with self._catalog.write() as connection:
                self._lexical.create(connection)
        self._parts = Parts(self.folder, self._catalog, self._lexical, settings, embedder, llm, reranker)

    @classmethod
    def open(
        cls,
        folder: Path | str,
        settings: Settings | None = None,
        *,
        embedder: Embedder | None = None,
        llm: LLM | None = None,
        reranker: Reranker | None = None,
    ) -> KnowledgeBase:
        """Open the knowledge base in ``folder``, or make one there.

        Settings come from ``lunheng.toml`` in the folder or the working directory, and the environment.
        Models may be handed in; otherwise those of the settings are loaded when first needed.

        Raises:
            ConfigError: the settings hold an unknown key.
            EmbedderMismatchError: it was built with another embedder than the settings or ``embedder`` name.
        """
        kb = cls(Path(folder), settings or Settings.load(folder), embedder, llm, reranker)
        try:
            if kb._parts.remembered and kb._parts.chosen_embedder_differs():
                kb._parts.embedder()
        except LunhengError:
            kb.close()
            raise
        return kb

    def __enter__(self) -> KnowledgeBase:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release files, models and locks; closing twice does nothing."""
        self._parts.close()
        self._catalog.close()

    @property
    def embedder(self) -> Embedder:
        """The embedder in use."""
        return self._parts.embedder()

    @property
    def llm(self) -> LLM | None:
        """The language model in use; None for extractive answers."""
        return self._parts.llm()

    @property
    def vector_index(self) -> str:
        """``exact``, ``qdrant`` or ``faiss``: what is open now; empty before the first search."""
        return self._parts.mirror().kind

    # -- writing -------------------------------------------------------------------------------------

    @contextmanager
    def _writing(self, kind: str, detail: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Hold the writer lock and keep a job's record; the yielded dict becomes its detail."""
        try:
            self._writer_lock.acquire(timeout=self.settings.storage.writer_timeout_seconds)
        except Timeout as error:
            raise BusyError(
                f"{self.folder}: another process is writing to it and did not finish within "
                f"{self.settings.storage.writer_timeout_seconds:g} s; try again later"
            ) from error
        try:
            with self._catalog.write() as connection:
                job = jobs.start(connection, kind, detail)
            state, outcome = "failed", dict(detail)
            try:
                yield outcome
                state = "done"
            except KeyboardInterrupt:
                state = "interrupted"
                raise
            finally:
                with self._catalog.write() as connection:
                    jobs.finish(connection, job, state, outcome)
        finally:
            self._writer_lock.release()

    def _ingest(
        self, items: Sequence[tuple[Path, bool] | Document], overrides: Overrides, progress: Progress | None
    ) -> list[ItemReport]:
        embedder = self.embedder
        settings = self.settings
        describer = self._parts.describer()
        fingerprint = content_id(
            parsing_fingerprint(settings.parsing),
            chunking_fingerprint(settings.chunking, embedder.window),
            embedder.fingerprint,
            describer.fingerprint if describer is not None else "",
        )
        if self._parts.remembered is None:
            name = self._parts.embedder_name()
            with self._catalog.write() as connection:
                self._catalog.set_fact(connection, "embedder", name)
                self._catalog.set_fact(connection, "embedder_fingerprint", embedder.fingerprint)
                self._catalog.set_fact(connection, "dimension", embedder.dimension)
            self._parts.remember(embedder, name)
        pipeline = Pipeline(
            self._catalog,
            self._lexical,
            lambda path: with_descriptions(parse_file(path, settings.parsing), describer),
            make_chunker(settings.chunking, embedder.tokenizer, embedder.window, embedder, self._parts.llm),
            self._parts.passages(),
            fingerprint,
            settings.storage.vector_type,
        )
        reports = pipeline.run(items, overrides, progress)
        if any(r.status in ("added", "updated") for r in reports):
            self._catch_up()
        return reports

    def _catch_up(self) -> None:
        warnings: list[str] = []
        with self._catalog.read() as connection:
            self._parts.mirror().catch_up(connection, warnings.append)

    def add(
        self,
        sources: Path | str | Document | Iterable[Path | str | Document],
        *,
        collection: str | None = None,
        acl: Sequence[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        progress: Progress | None = None,
    ) -> IngestReport:
        """Add files, folders and documents; those already there and unchanged cost a hash.

        A file that cannot be read is in the report's ``failed`` with its reason, and the rest goes on.

        Raises:
            NotFoundError: a path does not exist.
            DataError: ``acl`` or ``metadata`` is not of its form.
            BusyError: another process kept writing for longer than the settings allow.
        """
        given = [sources] if isinstance(sources, (str, Path, Document)) else list(sources)
        paths = [s for s in given if not isinstance(s, Document)]
        items: list[tuple[Path, bool] | Document] = [*files.expand(paths, self.folder)]
        items += [s for s in given if isinstance(s, Document)]
        overrides = Overrides.of(collection, acl, metadata)
        with self._writing("add", {"sources": len(items)}) as detail:
            report = IngestReport.of(self._ingest(items, overrides, progress))
            detail |= report.counts
        return report

    def sync(
        self,
        folder: Path | str,
        *,
        collection: str | None = None,
        acl: Sequence[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        progress: Progress | None = None,
    ) -> IngestReport:
        """Make the knowledge base agree with ``folder``: what was added, changed or removed there is so here.

        Raises:
            NotFoundError: the folder does not exist or cannot be read; then nothing is removed.
            DataError: ``acl`` or ``metadata`` is not of its form.
        """
        root = Path(folder).expanduser().absolute()
        if not root.is_dir():
            raise NotFoundError(f"{folder}: is not a folder")
        items: list[tuple[Path, bool] | Document] = [*files.expand([root], self.folder)]
        overrides = Overrides.of(collection, acl, metadata)
        with self._writing("sync", {"folder": str(root)}) as detail:
            reports = self._ingest(items, overrides, progress)
            here = {str(item[0]) for item in items if not isinstance(item, Document)}
            with self._catalog.read() as connection:
                gone = self._catalog.outdated(connection, str(root), here, keep_collections=collection is not None)
            reports += self._remove_all(gone)
            report = IngestReport.of(reports)
            detail |= report.counts
        return report

    def remove(self, names: str | Path | Iterable[str | Path]) -> IngestReport:
        """Remove documents by id, source, or folder; they vanish from search, answers, counts and indexes.

        Raises:
            NotFoundError: a name matches no document; then nothing is removed.
        """
        given = [names] if isinstance(names, (str, Path)) else list(names)
        with self._writing("remove", {"names": [str(n) for n in given]}) as detail:
            wanted: dict[str, str] = {}
            with self._catalog.read() as connection:
                for name in given:
                    found = self._catalog.find_documents(connection, str(name)) or self._catalog.find_documents(
                        connection, str(Path(name).expanduser().absolute())
                    )
                    if not found:
                        raise NotFoundError(f"{name}: no document has this id, source or folder; see: lunheng list")
                    wanted |= {document_id: source for document_id, source, _ in found}
            report = IngestReport.of(self._remove_all(list(wanted.items())))
            detail |= report.counts
        return report

    def _remove_all(self, documents: Sequence[tuple[str, str]]) -> list[ItemReport]:
        for document_id, _ in documents:
            with self._catalog.write() as connection:
                self._lexical.remove(connection, self._catalog.remove_document(connection, document_id))
        if documents and self._parts.remembered:
            self._catch_up()
        return [ItemReport(source, "removed") for _, source in documents]

    # -- reading -------------------------------------------------------------------------------------

    def find(
        self,
        query: str,
        *,
        k: int = 10,
        filter: FilterLike = None,
        principal: Principal | None = None,
        mode: Mode = "hybrid",
        rerank: bool = True,
        tracer: Tracer | None = None,
    ) -> SearchResult:
        """``search`` with the confidence that the hits answer the query at all.

        Raises:
            DataError: the query is empty.
        """
        if not query.strip():
            raise DataError("the query is empty; say what to look for")
        return self._parts.searcher().search(
            query,
            k=k,
            principal=principal or Principal.local(),
            where=_where(filter),
            tracer=tracer or Tracer(),
            mode=mode,
            rerank=rerank,
        )

    def search(
        self,
        query: str,
        k: int = 10,
        filter: FilterLike = None,
        principal: Principal | None = None,
        *,
        mode: Mode = "hybrid",
        rerank: bool = True,
    ) -> list[Hit]:
        """The ``k`` best hits for ``query``, among what ``filter`` admits and ``principal`` may see.

        Without a principal the asker is ``Principal.local()``, the owner.
        """
        return list(self.find(query, k=k, filter=filter, principal=principal, mode=mode, rerank=rerank).hits)

    def ask_stream(
        self,
        question: str,
        *,
        strategy: Literal["naive", "advanced"] | None = None,
        filter: FilterLike = None,
        principal: Principal | None = None,
    ) -> Iterator[AnswerEvent]:
        """The answer as events: the sources first, then the text as it is written, last the checked ``Answer``.

        Raises:
            DataError: the question is empty.
        """
        if not question.strip():
            raise DataError("the question is empty; ask something")
        # Whoever only searches need not load what answers are made with.
        from lunheng.answering.advanced import AdvancedStrategy
        from lunheng.answering.naive import NaiveStrategy
        from lunheng.answering.writer import Writer

        llm, missing = self._language_model()
        codec = self._parts.passages().codec
        writer = Writer(self.embedder, codec, llm, self.settings.answering, missing, self._document_text)
        chosen = strategy or self.settings.answering.strategy
        kind = AdvancedStrategy if chosen == "advanced" else NaiveStrategy
        where = _where(filter)
        strategy_in_use = kind(self._parts.searcher().search, writer, self._languages)
        return strategy_in_use.stream(question, principal or Principal.local(), where)

    def _document_text(self, document_id: str) -> str:
        with self._catalog.read() as connection:
            text = self._catalog.document_text(connection, document_id)
            for start, end in reversed(self._catalog.hidden_spans(connection, document_id)):
                text = text[:start] + text[end:]
            return text

    def _languages(self) -> Mapping[str, float]:
        with self._catalog.read() as connection:
            return self._catalog.language_shares(connection)

    def ask(
        self,
        question: str,
        *,
        strategy: Literal["naive", "advanced"] | None = None,
        filter: FilterLike = None,
        principal: Principal | None = None,
    ) -> Answer:
        """Answer ``question`` from the documents, with checked citations."""
        events = self.ask_stream(question, strategy=strategy, filter=filter, principal=principal)
        return next(event.answer for event in events if isinstance(event, AnswerDone))

    def condense(self, history: Sequence[Message], question: str) -> str:
        """A follow-up question as a standalone one; unchanged without a history or a language model."""
        from lunheng.answering.conversation import condense

        llm, _ = self._language_model()
        return condense(llm, history, question) if llm is not None else question

    def _language_model(self) -> tuple[LLM | None, str]:
        """The language model, or None and why there is none: an answer then quotes the sources, and says why."""
        try:
            return self._parts.llm(), "no language model is configured"
        except ModelNotPulledError as error:
            return None, str(error).rstrip(".")

    def documents(
        self,
        *,
        filter: FilterLike = None,
        principal: Principal | None = None,
        tracer: Tracer | None = None,
    ) -> list[StoredDocument]:
        """The documents that ``principal`` may see."""
        who = principal or Principal.local()
        with self._catalog.read() as connection:
            found = self._catalog.list_documents(connection, who)
            where = _where(filter)
            if where is None:
                return found
            with (tracer or Tracer()).stage("scope", principal=who.id, filter=str(where)) as stage:
                for warning in check_fields(where, lambda: self._catalog.own_keys(connection, who)):
                    stage.warn(warning)
            keys = self._catalog.allowed_keys(connection, who, to_sql(where, chunks_table.c.metadata))
            chunks = self._catalog.chunks_by_key(connection, keys if keys is not None else [], who)
            wanted = {c.metadata.document_id for c in chunks.values()}
            return [d for d in found if d.id in wanted]

    def chunks(self, *, filter: FilterLike = None, principal: Principal | None = None) -> Iterator[Chunk]:
        """Every chunk that ``filter`` admits and ``principal`` may see, by document and place, a document at a time:
        what training data is made of."""
        who, where = principal or Principal.local(), _where(filter)
        condition = to_sql(where, chunks_table.c.metadata) if where is not None else None
        for stored in self.documents(principal=who):
            with self._catalog.read() as connection:
                found = self._catalog.document_chunks(connection, stored.id)
                if condition is not None:
                    keys = self._catalog.allowed_keys(connection, who, condition)
                    admitted = self._catalog.chunks_by_key(connection, keys if keys is not None else [], who)
                    wanted = {chunk.id for chunk in admitted.values()}
                    found = [chunk for chunk in found if chunk.id in wanted]
            yield from found

    def document(self, document_id: str, principal: Principal | None = None) -> Document:
        """One document with its text and elements.

        Raises:
            NotFoundError: there is none, or ``principal`` may not see it (the two are not told apart).
        """
        visible = {d.id for d in self.documents(principal=principal)}
        with self._catalog.read() as connection:
            found = self._catalog.document(connection, document_id) if document_id in visible else None
        if found is None:
            raise NotFoundError(f"{document_id}: no such document")
        return found

    # -- upkeep --------------------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """Counts, models, index positions, sizes and the latest jobs."""
        with self._catalog.read() as connection:
            counts = self._catalog.counts(connection)
            sequence = self._catalog.sequence(connection)
            latest = jobs.latest(connection)
            languages = dict(self._catalog.language_shares(connection))
        size = sum(f.stat().st_size for f in self.folder.rglob("*") if f.is_file())
        return {
            "folder": str(self.folder),
            **counts,
            "languages": languages,
            "sequence": sequence,
            "embedder": self._parts.remembered_name,
            "embedder_fingerprint": self._parts.remembered,
            "reranker": self._parts.reranker_name(),
            "llm": self._parts.llm_name(),
            "bytes": size,
            "jobs": latest,
        }

    def check(self, *, repair: bool = False) -> maintenance.CheckReport:
        """Compare the catalog with everything derived from it; with ``repair``, remake what disagrees."""
        mirror = self._parts.mirror() if self._parts.remembered else None
        report = maintenance.check(self._catalog, self._lexical, mirror, self._parts.remembered)
        if not repair or not report.findings:
            return report
        with self._writing("repair", {"findings": len(report.findings)}):
            maintenance.repair(
                self._catalog, self._lexical, mirror, self._parts.passages(), self.settings.storage.vector_type
            )
        after = maintenance.check(self._catalog, self._lexical, mirror, self._parts.remembered)
        left = {f.what for f in after.findings}
        return maintenance.CheckReport(
            after.documents,
            after.chunks,
            tuple(maintenance.Finding(f.what, f.count, f.repair, repaired=f.what not in left) for f in report.findings),
        )

    def use_reranker(self, name: str) -> None:
        """Rerank with the model called ``name`` from now on; ``default`` as before. Errors as of ``load_reranker``."""
        with self._writing("use_reranker", {"reranker": name}):
            self._parts.remember_reranker(name)

    def use_llm(self, name: str) -> None:
        """Answer with the language model called ``name`` from now on. Errors as of ``load_llm``."""
        with self._writing("use_llm", {"llm": name}):
            self._parts.remember_llm(name)

    def replaced_models(self) -> list[model_history.Change]:
        """Each model that was replaced by another, the oldest first: what ``roll_back`` undoes from its end."""
        with self._catalog.read() as connection:
            return model_history.changes(self._catalog, connection)

    def roll_back(
        self,
        task: Literal["embedder", "reranker", "llm"] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> model_history.Change:
        """Put the model back that served before the last change; gives that change.

        Args:
            task: only a change of this; None: the last of all.

        Raises:
            ConfigError: nothing has changed, or the settings name the model.
            ModelError: the one that served before is not on this machine any more.
        """
        last = next((c for c in reversed(self.replaced_models()) if task in (None, c.task)), None)
        if last is None:
            raise ConfigError(f"{self.folder}: no other {task or 'model'} was in use before; there is nothing to undo")
        match last.task:
            case "embedder":
                self.rebuild(embedder=last.before, progress=progress)
            case "reranker":
                self.use_reranker(last.before)
            case _:
                self.use_llm(last.before)
        with self._catalog.write() as connection:
            model_history.drop(self._catalog, connection, last)
        return last

    def rebuild(self, *, embedder: str | None = None, progress: Callable[[int, int], None] | None = None) -> None:
        """Drop and remake every derived index; with ``embedder``, move to another embedding model.

        While it runs, readers are served from what was there before.
        """
        with self._writing("rebuild", {"embedder": embedder}):
            if embedder is not None:
                new = load_embedder(self.settings.models.model_copy(update={"embedder": embedder}))
                chunker = make_chunker(self.settings.chunking, new.tokenizer, new.window, new, self._parts.llm)
                vector_type = self.settings.storage.vector_type
                migrate(self._catalog, self._lexical, chunker, passage_embedder(new), embedder, vector_type, progress)
                self._parts.remember(new, embedder)
            maintenance.rebuild_lexical(self._catalog, self._lexical, progress)
            if self._parts.remembered:
                self._parts.mirror().drop()
                shutil.rmtree(self.folder / "indexes", ignore_errors=True)
                self._catch_up()
            self._catalog.vacuum()


def _where(given: FilterLike) -> Filter | None:
    return None if given is None else parse_filter(given)
