"""The replaceable parts of one knowledge base, each made when first needed and once.

Called by ``KnowledgeBase``: which embedder, language model, reranker and vector index serve it, from what was
handed in, the settings, and what the catalog remembers.
"""

from __future__ import annotations

import threading
from pathlib import Path

from lunheng.answering.cached_llm import CachedLLM
from lunheng.catalog import Catalog, completions, model_history
from lunheng.config import Settings
from lunheng.errors import ConfigError, EmbedderMismatchError
from lunheng.indexes.catch_up import VectorMirror
from lunheng.indexes.lexical import SqliteLexicalIndex
from lunheng.ingest.embedding import PassageEmbedder
from lunheng.ingest.figures import CachedDescriber
from lunheng.models import load_describer, load_embedder, load_llm, load_reranker
from lunheng.protocols import LLM, Describer, Embedder, Reranker, TokenEmbedder
from lunheng.retrieval.late_interaction import TokenCodec
from lunheng.retrieval.pipeline import Searcher
from lunheng.retrieval.reranking import EvidenceReranker
from lunheng.types import Completion


class Parts:
    """Made from what the caller handed in (``given_*``) or else from the settings; safe for many threads."""

    def __init__(
        self,
        folder: Path,
        catalog: Catalog,
        lexical: SqliteLexicalIndex,
        settings: Settings,
        embedder: Embedder | None,
        llm: LLM | None,
        reranker: Reranker | None,
    ) -> None:
        self._folder = folder
        self._catalog = catalog
        self._lexical = lexical
        self._settings = settings
        self._given_embedder = embedder
        self._given_llm = llm
        self._given_reranker = reranker
        self._guard = threading.RLock()
        self._embedder: Embedder | None = None
        self._passages: PassageEmbedder | None = None
        self._llm: CachedLLM | None = None
        self._describer: CachedDescriber | None = None
        self._mirror: VectorMirror | None = None
        self._searcher: Searcher | None = None
        with catalog.read() as connection:
            self.remembered: str | None = catalog.fact(connection, "embedder_fingerprint")
            """Fingerprint of the embedder that the knowledge base was built with; None while it is empty."""
            self.remembered_name: str | None = catalog.fact(connection, "embedder")
            self.remembered_reranker: str | None = catalog.fact(connection, "reranker")
            self.remembered_llm: str | None = catalog.fact(connection, "llm")

    def chosen_embedder_differs(self) -> bool:
        """Whether the caller or the settings name an embedder other than the one remembered by name."""
        if self._given_embedder is not None:
            return True
        models = self._settings.models
        return "embedder" in models.model_fields_set and models.embedder != self.remembered_name

    def embedder_name(self) -> str:
        """The name to remember; none for an embedder that was handed in, which settings cannot name."""
        return "" if self._given_embedder is not None else self._settings.models.embedder

    def embedder(self) -> Embedder:
        """The embedder in use; a knowledge base with documents insists on the one that it was built with.

        Raises:
            EmbedderMismatchError: another one is set; names the command that migrates.
        """
        with self._guard:
            if self._embedder is None:
                models = self._settings.models
                if self.remembered_name and "embedder" not in models.model_fields_set:
                    models = models.model_copy(update={"embedder": self.remembered_name})
                found = self._given_embedder or load_embedder(models)
                if self.remembered and found.fingerprint != self.remembered:
                    raise EmbedderMismatchError(
                        f"{self._folder}: was built with the embedder {self.remembered_name or 'given by the caller'} "
                        f"({self.remembered[:12]}), and {self.embedder_name() or 'the one given'} "
                        f"({found.fingerprint[:12]}) is another; vectors of two models cannot be compared. "
                        f"To migrate: lunheng rebuild --embedder {self.embedder_name() or 'NAME'}"
                    )
                self._embedder = found
            return self._embedder

    def remember(self, embedder: Embedder, name: str) -> None:
        """Note which embedder the catalog's vectors are of now, and use it from here on."""
        with self._guard:
            if self._mirror is not None and self.remembered != embedder.fingerprint:
                self._mirror.close()
                self._mirror = None
            if self._embedder is not embedder:
                self._embedder, self._passages = embedder, None
            self._searcher = None
            if self.remembered_name is not None:
                with self._catalog.write() as connection:
                    model_history.note(self._catalog, connection, "embedder", self.remembered_name, name)
            self.remembered, self.remembered_name = embedder.fingerprint, name

    def passages(self) -> PassageEmbedder:
        """What embeds passages for the catalog."""
        with self._guard:
            if self._passages is None:
                self._passages = passage_embedder(self.embedder())
            return self._passages

    def llm(self) -> LLM | None:
        """The language model, remembering what it was asked; None where the settings say ``none``."""
        with self._guard:
            if self._llm is None:
                models = self._settings.models.model_copy(update={"llm": self.llm_name()})
                found = self._given_llm or load_llm(models)
                self._llm = CachedLLM(found, _Completions(self._catalog)) if found is not None else None
            return self._llm

    def llm_name(self) -> str:
        """The language model in use: as the settings name it, else what was put to use, else the settings' default."""
        models = self._settings.models
        return models.llm if "llm" in models.model_fields_set else self.remembered_llm or models.llm

    def remember_llm(self, name: str) -> None:
        """Answer with the language model called ``name`` from here on, where the settings name none.

        Raises:
            ConfigError: the settings name another.
            ModelError, MissingExtraError: it cannot be loaded; then nothing changes.
        """
        models = self._settings.models
        self._insist_on_free("llm", models.llm, name)
        with self._guard:
            if name != models.llm:  # what the settings say anyway may be missing: asking tells how to get it
                found = load_llm(models.model_copy(update={"llm": name}))
                if close := getattr(found, "close", None):
                    close()
            self._put_to_use("llm", self.llm_name(), name)
            self.remembered_llm = name
            if self._llm is not None and self._given_llm is None:
                self._llm.close()
            self._llm = None

    def describer(self) -> Describer | None:
        """What describes pictures, remembering what it said; None where the settings ask for none."""
        with self._guard:
            if self._describer is None:
                found = load_describer(self._settings.models, self._settings.parsing.describe_figures)
                self._describer = CachedDescriber(found, _Completions(self._catalog)) if found is not None else None
            return self._describer

    def reranker(self) -> Reranker | EvidenceReranker | None:
        """By default the one that needs no model but the embedder's token vectors."""
        if self._given_reranker is not None:
            return self._given_reranker
        embedder, codec = self.embedder(), self.passages().codec
        models = self._settings.models.model_copy(update={"reranker": self.reranker_name()})
        if models.reranker == "default" and codec is not None and isinstance(embedder, TokenEmbedder):
            return EvidenceReranker(embedder, codec)
        return load_reranker(models, embedder)

    def reranker_name(self) -> str:
        """The reranker in use: as the settings name it, else what was put to use, else the default."""
        models = self._settings.models
        named = "reranker" in models.model_fields_set or not self.remembered_reranker
        return models.reranker if named else str(self.remembered_reranker)

    def remember_reranker(self, name: str) -> None:
        """Use the reranker called ``name`` from here on, where the settings name none.

        Raises:
            ConfigError: the settings name another.
            ModelError, MissingExtraError: it cannot be loaded; then nothing changes.
        """
        models = self._settings.models
        self._insist_on_free("reranker", models.reranker, name)
        with self._guard:
            load_reranker(models.model_copy(update={"reranker": name}), self.embedder())
            self._put_to_use("reranker", self.reranker_name(), name)
            self.remembered_reranker = name
            self._searcher = None

    def _insist_on_free(self, task: str, named: str, wanted: str) -> None:
        if task in self._settings.models.model_fields_set and named != wanted:
            raise ConfigError(
                f"the settings say models.{task} = {named!r}, which stands above what is put to use; "
                f"remove it from lunheng.toml, or set it to {wanted!r}"
            )

    def _put_to_use(self, task: str, before: str, name: str) -> None:
        with self._catalog.write() as connection:
            self._catalog.set_fact(connection, task, name)
            model_history.note(self._catalog, connection, task, before, name)

    def mirror(self) -> VectorMirror:
        """The vector index."""
        with self._guard:
            if self._mirror is None:
                embedder = self.embedder()
                self._mirror = VectorMirror(
                    self._catalog,
                    self._folder / "indexes",
                    embedder.fingerprint,
                    embedder.dimension,
                    self._settings.storage,
                )
            return self._mirror

    def searcher(self) -> Searcher:
        """What searches."""
        with self._guard:
            if self._searcher is None:
                self._searcher = Searcher(
                    self._catalog,
                    self._lexical,
                    self.mirror(),
                    self.embedder(),
                    self.reranker(),
                    self._settings.retrieval,
                )
            return self._searcher

    def close(self) -> None:
        """Release the index and the language model, unless that was handed in."""
        with self._guard:
            if self._mirror is not None:
                self._mirror.close()
            if self._llm is not None and self._given_llm is None:
                self._llm.close()
            if self._describer is not None:
                self._describer.close()
            self._mirror = self._llm = self._describer = self._searcher = None


def passage_embedder(embedder: Embedder) -> PassageEmbedder:
    """``embedder`` for passages, packing token vectors where it gives them."""
    return PassageEmbedder(embedder, TokenCodec.for_embedder(embedder) if isinstance(embedder, TokenEmbedder) else None)


class _Completions:
    """The catalog's completions, in the shape that ``CachedLLM`` takes."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def get(self, fingerprint: str, prompt_hash: str) -> Completion | None:
        with self._catalog.read() as connection:
            return completions.get(connection, fingerprint, prompt_hash)

    def put(self, fingerprint: str, prompt_hash: str, completion: Completion) -> None:
        with self._catalog.write() as connection:
            completions.put(connection, fingerprint, prompt_hash, completion)
