"""Sources in, a cited and checked answer out, as a stream of events: what all strategies end with.

Called by naive and advanced. Order: confidence gate, context, generation (or extraction), verification.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from lunheng.answering import context, extractive, prompts
from lunheng.answering.passages import SentenceReader
from lunheng.answering.verification import Checked, render, verify
from lunheng.config import AnsweringSettings
from lunheng.errors import ModelError
from lunheng.protocols import LLM, Embedder
from lunheng.retrieval.late_interaction import TokenCodec
from lunheng.text.language import detect_language, is_chinese
from lunheng.tracing import StageRecord, Tracer
from lunheng.types import (
    Answer,
    AnswerDone,
    AnswerEvent,
    Chunk,
    Citation,
    DraftRejected,
    Hit,
    Source,
    SourcesFound,
    TextDelta,
    Verdict,
)


@dataclass(frozen=True, slots=True)
class _Case:
    """A question with what was found for it."""

    question: str
    language: str
    reader: SentenceReader
    known: tuple[Chunk, ...]
    """Every chunk found."""
    sources: tuple[Source, ...]
    """What is shown of them."""
    confidence: float
    tracer: Tracer


@dataclass(frozen=True, slots=True)
class Writer:
    """What writing an answer needs."""

    embedder: Embedder
    codec: TokenCodec | None
    """Compares statements with the question word by word; None where the embedder gives no token vectors."""
    llm: LLM | None
    settings: AnsweringSettings
    missing: str = "no language model is configured"
    """Why there is none, where there is none."""
    document_text: Callable[[str], str] | None = None
    """A document's whole text by its id: where the check looks for what a passage does not repeat."""

    @property
    def candidates(self) -> int:
        """How many hits to hand over: more than become sources, since their statements compete."""
        return 2 * self.settings.max_sources

    def stream(
        self, wordings: Sequence[str], hits: Sequence[Hit], confidence: float, tracer: Tracer
    ) -> Iterator[AnswerEvent]:
        """Yield the sources, then the text as it is written, then the checked answer.

        ``wordings``: the question, and its translations where it was searched in those too.
        """
        question = wordings[0]
        language = question_language(question)
        words = prompts.phrases(language)
        reader = SentenceReader(self.embedder, wordings, self.codec, self.document_text)
        settings = self.settings
        with tracer.stage("context", budget=settings.context_tokens) as stage:
            sources = context.assemble(hits, reader, self._counter(), settings.context_tokens, settings.max_sources)
            stage.result["sources"] = [
                {
                    "n": s.n,
                    "chunk": s.hit.chunk.id,
                    "start": s.start,
                    "end": s.end,
                    "score": s.hit.score,
                    "shown": s.shown,
                }
                for s in sources
            ]
        yield SourcesFound(sources, confidence)
        case = _Case(question, language, reader, tuple(hit.chunk for hit in hits), sources, confidence, tracer)
        if not sources or confidence < settings.confidence_threshold:
            with tracer.stage("gate", confidence=confidence, threshold=settings.confidence_threshold) as stage:
                stage.warn("the sources do not seem to answer the question; no answer was written")
            text = _missing(case)
            yield TextDelta(text)
            yield AnswerDone(_unanswered(case, text))
            return
        if self.llm is not None:
            try:
                yield from self._written(self.llm, case)
                return
            except ModelError as error:
                reason = f"the language model failed ({error}); quoting the sources instead"
        else:
            reason = f"{self.missing}; the answer quotes the sources"
        with tracer.stage("extract") as stage:
            stage.warn(reason)
            text = extractive.extract(sources, reader)
            stage.result["text"] = text
        yield TextDelta(f"{words.extractive}\n{text}")
        yield AnswerDone(_answer(case, _check(case, text), extracted=True))

    def _written(self, llm: LLM, case: _Case) -> Iterator[AnswerEvent]:
        """The model's answer; where nothing of it passes the check, another from the best source alone, then from the
        next: a small model mixes what several say. Of those only one that is wholly supported is taken; and where a
        source said it, but of something else, the sources hardly say what was asked, and nothing more is tried.

        Raises:
            ModelError: the model failed.
        """
        alone = [[source] for source in case.sources] if len(case.sources) > 1 else []
        first: Checked | None = None
        for shown in [case.sources, *alone][: self.settings.attempts]:
            if first is not None:
                yield DraftRejected(tuple(r for c in first.checks for r in c.reasons))
            pieces: list[str] = []
            with case.tracer.stage("generate") as stage:
                for piece in self._generate(llm, case, shown, stage):
                    pieces.append(piece)
                    yield TextDelta(piece)
                written = "".join(pieces).strip()
                stage.result["text"] = written
                if detect_language(written) not in (case.language, "und"):
                    stage.warn(f"the answer is not in the question's language ({case.language})")
            if prompts.is_refusal(written) or not written:
                break
            checked = _check(case, written, shown[0].n if first is not None else None)
            if checked.verdict == "supported" or (first is None and checked.verdict == "partly"):
                yield AnswerDone(_answer(case, checked))
                return
            first = first or checked
            if checked.astray:
                break
        if first is not None:
            yield AnswerDone(_answer(case, first))
        else:
            yield AnswerDone(_unanswered(case, _missing(case)))

    def _generate(self, llm: LLM, case: _Case, shown: Sequence[Source], stage: StageRecord) -> Iterator[str]:
        messages = prompts.answer_messages(case.question, context.prompt_order(shown), case.language)
        stage.given |= {"model": llm.fingerprint, "prompt": [{"role": m.role, "content": m.content} for m in messages]}
        settings = self.settings
        return llm.stream(messages, max_tokens=settings.max_answer_tokens, temperature=settings.temperature)

    def _counter(self) -> Callable[[str], int]:
        return self.llm.count if self.llm is not None else self.embedder.tokenizer.count


def _check(case: _Case, text: str, only: int | None = None) -> Checked:
    with case.tracer.stage("verify") as stage:
        checked = verify(text, case.sources, case.question, case.reader, case.known, case.language, only)
        for n in checked.invented:
            stage.warn(f"dropped citation [{n}]: there is no such source")
        stage.result["mended"] = checked.mended
        stage.result["checks"] = [
            {"text": c.text, "citations": c.citations, "verdict": c.verdict, "reasons": c.reasons}
            for c in checked.checks
        ]
    return checked


def _answer(case: _Case, checked: Checked, extracted: bool = False) -> Answer:
    words = prompts.phrases(case.language)
    keep: set[Verdict] = {"supported", "partly"}
    text = render(checked, keep)
    dropped = [c for c in checked.checks if c.verdict not in keep]
    if not text:
        reasons = words.between_reasons.join(dict.fromkeys(r for c in checked.checks for r in c.reasons))
        return _unanswered(case, words.failed.format(reasons=reasons or checked.verdict), checked)
    if dropped:
        text += "\n" + words.left_out.format(count=len(dropped))
    if extracted:
        text = f"{words.extractive}\n{text}"
    shown = tuple(c for c in checked.citations if c.supported in keep)
    return Answer(
        question=case.question,
        text=text,
        citations=shown,
        verdict=checked.verdict,
        confidence=case.confidence,
        answered=True,
        checks=checked.checks,
        trace=case.tracer.trace(),
        language=case.language,
        extractive=extracted,
    )


def _missing(case: _Case) -> str:
    words = prompts.phrases(case.language)
    return words.missing.format(question=case.question) + (words.closest if case.sources else "")


def _unanswered(case: _Case, text: str, checked: Checked | None = None) -> Answer:
    """An answer that says that the sources do not say, with the closest passages for the reader to judge."""
    return Answer(
        question=case.question,
        text=text,
        citations=tuple(_nearest(s) for s in case.sources),
        verdict="unsupported",
        confidence=case.confidence,
        answered=False,
        checks=checked.checks if checked else (),
        trace=case.tracer.trace(),
        language=case.language,
    )


def _nearest(source: Source) -> Citation:
    metadata = source.hit.chunk.metadata
    return Citation(
        n=source.n,
        document=metadata.source,
        document_id=metadata.document_id,
        chunk_id=source.hit.chunk.id,
        page=metadata.page_number,
        heading_path=metadata.heading_path,
        quote=source.text,
        start=source.start,
        end=source.end,
        supported="unsupported",
    )


def question_language(question: str) -> str:
    """``zh`` or ``en``: the language that the answer is written in."""
    return "zh" if is_chinese(question) else "en"
