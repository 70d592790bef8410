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
    Citation,
    Hit,
    Source,
    SourcesFound,
    TextDelta,
    Verdict,
)


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
        if not sources or confidence < settings.confidence_threshold:
            with tracer.stage("gate", confidence=confidence, threshold=settings.confidence_threshold) as stage:
                stage.warn("the sources do not seem to answer the question; no answer was written")
            text = words.missing.format(question=question)
            yield TextDelta(text)
            yield AnswerDone(self._unanswered(question, text, sources, confidence, language, tracer))
            return
        extracted = self.llm is None
        pieces: list[str] = []
        if self.llm is not None:
            with tracer.stage("generate") as stage:
                try:
                    for piece in self._generate(self.llm, question, sources, language, stage):
                        pieces.append(piece)
                        yield TextDelta(piece)
                except ModelError as error:
                    stage.warn(f"the language model failed ({error}); quoting the sources instead")
                    extracted = True
        if extracted:
            with tracer.stage("extract") as stage:
                if self.llm is None:
                    stage.warn(f"{self.missing}; the answer quotes the sources")
                pieces = [extractive.extract(sources, reader)]
                stage.result["text"] = pieces[0]
                yield TextDelta(f"{words.extractive}\n{pieces[0]}")
        written = "".join(pieces).strip()
        if prompts.is_refusal(written) or not written:
            text = words.missing.format(question=question)
            yield AnswerDone(self._unanswered(question, text, sources, confidence, language, tracer))
            return
        with tracer.stage("verify") as stage:
            checked = verify(written, sources, question, reader, [hit.chunk for hit in hits], language)
            for n in checked.invented:
                stage.warn(f"dropped citation [{n}]: there is no such source")
            if not extracted and detect_language(written) not in (language, "und"):
                stage.warn(f"the answer is not in the question's language ({language})")
            stage.result["mended"] = checked.mended
            stage.result["checks"] = [
                {"text": c.text, "citations": c.citations, "verdict": c.verdict, "reasons": c.reasons}
                for c in checked.checks
            ]
        yield AnswerDone(self._answer(question, checked, sources, confidence, language, extracted, tracer))

    def _counter(self) -> Callable[[str], int]:
        return self.llm.count if self.llm is not None else self.embedder.tokenizer.count

    def _generate(
        self, llm: LLM, question: str, sources: Sequence[Source], language: str, stage: StageRecord
    ) -> Iterator[str]:
        messages = prompts.answer_messages(question, context.prompt_order(sources), language)
        settings = self.settings
        stage.given |= {"model": llm.fingerprint, "prompt": [{"role": m.role, "content": m.content} for m in messages]}
        pieces: list[str] = []
        for piece in llm.stream(messages, max_tokens=settings.max_answer_tokens, temperature=settings.temperature):
            pieces.append(piece)
            yield piece
        stage.result["text"] = "".join(pieces)

    def _answer(
        self,
        question: str,
        checked: Checked,
        sources: Sequence[Source],
        confidence: float,
        language: str,
        extracted: bool,
        tracer: Tracer,
    ) -> Answer:
        words = prompts.phrases(language)
        keep: set[Verdict] = {"supported", "partly"}
        text = render(checked, keep)
        dropped = [c for c in checked.checks if c.verdict not in keep]
        if not text:
            reasons = words.between_reasons.join(dict.fromkeys(r for c in checked.checks for r in c.reasons))
            text = words.failed.format(reasons=reasons or checked.verdict)
            return self._unanswered(question, text, sources, confidence, language, tracer, checked)
        if dropped:
            text += "\n" + words.left_out.format(count=len(dropped))
        if extracted:
            text = f"{words.extractive}\n{text}"
        shown = tuple(c for c in checked.citations if c.supported in keep)
        return Answer(
            question=question,
            text=text,
            citations=shown,
            verdict=checked.verdict,
            confidence=confidence,
            answered=True,
            checks=checked.checks,
            trace=tracer.trace(),
            language=language,
            extractive=extracted,
        )

    def _unanswered(
        self,
        question: str,
        text: str,
        sources: Sequence[Source],
        confidence: float,
        language: str,
        tracer: Tracer,
        checked: Checked | None = None,
    ) -> Answer:
        """An answer that says that the sources do not say, with the closest passages for the reader to judge."""
        return Answer(
            question=question,
            text=text,
            citations=tuple(_nearest(s) for s in sources),
            verdict="unsupported",
            confidence=confidence,
            answered=False,
            checks=checked.checks if checked else (),
            trace=tracer.trace(),
            language=language,
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
