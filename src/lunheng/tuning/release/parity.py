"""The parity gate: a model must say the same wherever it is served as where it was trained, template included.

Called by ``lunheng tune parity``. The run's own model (an adapter on its base, in torch) is the reference; merged,
as a GGUF file in llama.cpp, and behind a server it is asked the same questions, in Chinese, English and both mixed.
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lunheng.config import EndpointSettings
from lunheng.errors import ModelError
from lunheng.models.llms.llamacpp import LlamaCppLLM
from lunheng.tuning.manifest import MANIFEST
from lunheng.tuning.release.export import MODEL_FILE, export
from lunheng.tuning.release.gguf_file import GgufKind
from lunheng.tuning.release.merge import NEARER, merge
from lunheng.tuning.release.readings import ANSWER_TOKENS, QUESTIONS, Difference, Reading, compare, read_along, together
from lunheng.tuning.release.speakers import LlamaCppSpeaker, Said, ServerSpeaker, Speaker, TorchSpeaker, served
from lunheng.tuning.trained import TrainedModel, find_trained, open_tokenizer, open_trained

REPORT = "parity.json"
Place = Literal["merged", "gguf", "server"]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Limits:
    """What rounding may do, and no more."""

    largest: float
    """Difference of log-probabilities, in nats."""
    mean: float
    top1: float
    """Share of places with the same likeliest token."""
    answers: bool
    """Whether the greedy answers must be the same, but where the reference was as good as undecided."""


LIMITS: dict[str, Limits] = {
    "float32": Limits(0.01, 0.001, 0.98, True),
    "f32": Limits(0.01, 0.001, 0.98, True),
    "f16": Limits(0.1, 0.01, 0.95, True),
    "bf16": Limits(0.5, 0.05, 0.9, True),
    "q8_0": Limits(0.5, 0.1, 0.9, True),
    "q6_k": Limits(3.0, 0.3, 0.85, False),
    "q5_k_m": Limits(10.0, 0.7, 0.65, False),
    "q4_k_m": Limits(10.0, 0.8, 0.6, False),
    "q3_k_m": Limits(10.0, 1.2, 0.5, False),
}
"""By the precision of the weights, with room above what was measured on a model of 135M, the most fragile of all: f16
.04 (.004), q6_k 1.3 (.17), q5_k_m 6.3 (.48), q4_k_m 4.0 (.38), q3_k_m 6.3 (.70). A large model moves far less."""


@dataclass(frozen=True, slots=True)
class Case:
    """One conversation at one place."""

    language: str
    question: str
    same_prompt: bool
    """Token ids of the prompt; their number, where a server tells no more."""
    same_answer: bool
    """The greedy answer, word for word."""
    near_tie: bool
    """Where the answers part, the reference was as good as undecided."""
    difference: Difference
    answer: str
    expected: str


@dataclass(frozen=True, slots=True)
class Check:
    """A place, and whether the model is itself there."""

    place: Place
    kind: str
    limits: Limits
    difference: Difference
    cases: tuple[Case, ...]
    failures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Parity:
    """The whole report."""

    model: Path
    effect: Difference | None
    """How far an adapter is from its base; None for a whole model."""
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether the model is the same everywhere."""
        return not any(check.failures for check in self.checks)


def parity(
    model: TrainedModel,
    *,
    merged: Path | None = None,
    gguf: Path | None = None,
    kind: GgufKind = "f16",
    server: EndpointSettings | None = None,
    tokens: int = ANSWER_TOKENS,
    threads: int = 0,
    say: Say = lambda _: None,
) -> Parity:
    """Compare ``model`` with what is made of it, and write parity.json beside it.

    Args:
        merged: the merged model; None: it is merged for the comparison and not kept.
        gguf: the GGUF file; None: it is exported for the comparison and not kept.
        kind: of the GGUF file, given or made; it sets the limits.
        server: where the model is served; None: llama.cpp's own server over the GGUF file, on the loopback.
        tokens: of each answer.
        threads: of llama.cpp; 0 for as many as there are cores.
        say: told what is being done.

    Raises:
        ConfigError: it is no language model.
        ModelError: something cannot be opened, or cannot be made of it in that form.
    """
    model.insist_on_words()
    say("asking the model as it was trained…")
    tokenizer, opened = open_tokenizer(model), open_trained(model)
    if not tokenizer.chat_template:
        raise ModelError(f"{model.folder}: has no chat template, so that no conversation can be compared")
    reference = TorchSpeaker(opened, tokenizer)
    expected = [reference.say(messages, None, tokens) for _, messages in QUESTIONS]
    effect = None
    if model.is_adapter:
        with opened.disable_adapter():
            bare = [read_along(opened, e.reading.prompt, e.reading.answer) for e in expected]
        effect = together([compare(e.reading, b) for e, b in zip(expected, bare, strict=True)])
    del opened, reference
    checks: list[Check] = []

    def check(place: Place, of: str, speaker: Speaker) -> None:
        said = [
            speaker.say(messages, e.reading.answer, tokens)
            for (_, messages), e in zip(QUESTIONS, expected, strict=True)
        ]
        checks.append(judge(place, of, expected, said, effect))

    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if model.is_adapter:
            if merged is None:
                say("merging…")
                merged = merge(model, scratch / "merged", "float32").output
            say("asking the merged model…")
            whole = find_trained(merged)
            check("merged", "float32", TorchSpeaker(open_trained(whole), open_tokenizer(whole)))
        if gguf is None and server is None:
            say("writing a GGUF file…")
            gguf = (
                export(find_trained(merged) if merged else model, "gguf", scratch / "gguf", kind=kind).output
                / MODEL_FILE
            )
        if gguf is not None:
            say("asking llama.cpp…")
            llm = LlamaCppLLM(gguf, window=1024, threads=threads)
            stack.callback(llm.close)
            check("gguf", kind, LlamaCppSpeaker(llm))
        say("asking the server…")
        if server is None and gguf is not None:
            server = stack.enter_context(served(gguf, threads))
        if server is not None:
            check("server", kind, ServerSpeaker(server, tokenizer))
    made = Parity(model.folder, effect, tuple(checks))
    report = json.dumps({**dataclasses.asdict(made), "passed": made.passed}, ensure_ascii=False, indent=2, default=str)
    (_beside(model) / REPORT).write_text(report + "\n", encoding="utf-8")
    return made


def judge(place: Place, kind: str, expected: Sequence[Said], said: Sequence[Said], effect: Difference | None) -> Check:
    """Whether what was ``said`` at a place is what was ``expected``, within what its precision allows."""
    limits = LIMITS[kind]
    cases = [
        _case(language, messages[-1].content, e, s, limits)
        for (language, messages), e, s in zip(QUESTIONS, expected, said, strict=True)
    ]
    all_of = together([case.difference for case in cases])
    failures = []
    for case in cases:
        if not case.same_prompt:
            failures.append(f"{case.question!r}: the prompt is rendered to other tokens: another template or tokenizer")
    if all_of.largest > limits.largest or all_of.mean > limits.mean:
        failures.append(
            f"log-probabilities differ by up to {all_of.largest:.3g} ({all_of.mean:.3g} in the mean); {kind} may move them "
            f"by {limits.largest:g} ({limits.mean:g}): other weights, or another prompt"
        )
    if all_of.top1 < limits.top1:
        failures.append(
            f"the likeliest token is the same at {all_of.top1:.0%} of the places; {limits.top1:.0%} is the least"
        )
    if effect is not None and all_of.mean > NEARER * effect.mean:
        failures.append(
            f"it is {all_of.mean:.3g} from the adapter in the mean, and the adapter only {effect.mean:.3g} from its base: "
            "the adapter is not in it, or is lost in the rounding"
        )
    for case in cases:
        if limits.answers and not (case.same_answer or case.near_tie):
            failures.append(f"{case.question!r}: answers {case.answer!r} and not {case.expected!r}")
    return Check(place, kind, limits, all_of, tuple(cases), tuple(failures))


def _case(language: str, question: str, expected: Said, said: Said, limits: Limits) -> Case:
    known = said.reading.prompt
    same_prompt = known == expected.reading.prompt if known else said.prompt_tokens == expected.prompt_tokens
    return Case(
        language,
        question,
        same_prompt,
        said.text == expected.text,
        _near_tie(expected.reading, said.reading, limits.largest),
        compare(expected.reading, said.reading),
        said.text,
        expected.text,
    )


def _near_tie(reference: Reading, other: Reading, within: float) -> bool:
    """Whether the first place where the two think another token the likeliest was as good as undecided."""
    for here, there in zip(reference.logprobs, other.logprobs, strict=False):
        mine, theirs = (max(place, key=lambda token: place[token]) for place in (here, there))
        if mine != theirs:
            return here[mine] - here.get(theirs, float("-inf")) <= within
    return False


def _beside(model: TrainedModel) -> Path:
    """The run's folder, where the model came out of one."""
    return next((f for f in model.folder.parents[:2] if (f / MANIFEST).is_file()), model.folder)
