"""What a model says to a few fixed questions, in numbers: log-probabilities along an answer, and how far two differ.

Called by ``merge`` and ``parity``. Log-probabilities (natural, as a softmax gives them) are compared rather than
logits, which may differ by a constant that changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lunheng.types import Message

QUESTIONS: tuple[tuple[str, tuple[Message, ...]], ...] = (
    ("en", (Message("user", "Name three uses of a backup, in one sentence."),)),
    ("zh", (Message("user", "用一句话说明备份的三种用途。"),)),
    ("en", (Message("system", "Answer briefly."), Message("user", "What is 17 + 25?"))),
    ("zh", (Message("system", "回答要简短。"), Message("user", "十七加二十五等于多少？"))),
    (
        "mixed",
        (
            Message("user", "请用 English 解释 RAG 是什么。"),
            Message("assistant", "Retrieval-augmented generation: 先检索，再回答。"),
            Message("user", "And in 中文?"),
        ),
    ),
)
"""With and without a system message, and a conversation of several turns: each is another part of a template."""
LIKELIEST = 20
"""Tokens compared at each place, at the most: the reference's likeliest."""
UNLIKELY = 7.0
"""Nats below the likeliest token, a thousandth of its probability: what is less likely is not compared, since a model
that is sure gives the rest of its vocabulary numbers that no one will ever see and any rounding moves."""
KEPT = 200
"""Tokens whose log-probability is kept at each place."""
ANSWER_TOKENS = 12


@dataclass(frozen=True, slots=True)
class Reading:
    """A model's word on one conversation."""

    prompt: tuple[int, ...]
    """Token ids of the conversation as its template renders it, up to where the answer begins."""
    answer: tuple[int, ...]
    """Token ids along which the log-probabilities were read."""
    logprobs: tuple[Mapping[int, float], ...]
    """At each place of the answer, the log-probability of the likeliest tokens."""


@dataclass(frozen=True, slots=True)
class Difference:
    """How far one reading is from another, over the reference's likely tokens."""

    largest: float
    mean: float
    top1: float
    """Share of places at which both think the same token the likeliest."""


def questions(tokenizer: Any) -> list[list[int]]:
    """Token ids of the questions, by the tokenizer's chat template; of their bare text where it has none."""
    return [prompt_ids(tokenizer, messages) for _, messages in QUESTIONS]


def prompt_ids(tokenizer: Any, messages: Sequence[Message]) -> list[int]:
    """Token ids of a conversation up to where the answer begins."""
    if not tokenizer.chat_template:
        return list(tokenizer("\n".join(m.content for m in messages))["input_ids"])
    plain = [{"role": m.role, "content": m.content} for m in messages]
    text = tokenizer.apply_chat_template(plain, tokenize=False, add_generation_prompt=True)
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def read_along(model: Any, prompt: Sequence[int], answer: Sequence[int]) -> Reading:
    """Log-probabilities of ``model`` (torch) at each place of ``answer``."""
    import torch

    with torch.inference_mode():
        ids = torch.tensor([[*prompt, *answer]])
        logits = model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False).logits[0].float()
        # Prompt learning puts its virtual tokens in front: count from the end.
        kept = logits[-len(answer) - 1 : -1].log_softmax(-1).topk(min(KEPT, logits.shape[-1]))
    places = zip(kept.indices.tolist(), kept.values.tolist(), strict=True)
    return Reading(tuple(prompt), tuple(answer), tuple(dict(zip(*place, strict=True)) for place in places))


def greedy(model: Any, tokenizer: Any, prompt: Sequence[int], tokens: int = ANSWER_TOKENS) -> list[int]:
    """The answer of ``model`` (torch) by the likeliest token at each place, without any penalty; at least one token."""
    import torch
    from transformers import GenerationConfig

    ends = model.generation_config.eos_token_id
    settings = GenerationConfig(
        do_sample=False,
        max_new_tokens=tokens,
        eos_token_id=ends if ends is not None else tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id,
    )
    with torch.inference_mode():
        ids = torch.tensor([list(prompt)])
        made: list[int] = model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=settings
        )[0].tolist()
    # Generation from embeddings (prompt learning) gives the answer alone.
    return made[len(prompt) :] if made[: len(prompt)] == list(prompt) else made


def compare(reference: Reading, other: Reading) -> Difference:
    """How far ``other`` is from ``reference``, at the places whose answer they share."""
    differences: list[float] = []
    same = places = 0
    for at, (here, there) in enumerate(zip(reference.logprobs, other.logprobs, strict=False)):
        if reference.answer[:at] != other.answer[:at]:
            break
        likeliest = sorted(here, key=lambda token: -here[token])[:LIKELIEST]
        likeliest = [token for token in likeliest if here[token] >= here[likeliest[0]] - UNLIKELY]
        # What the other does not list is no likelier than the last that it lists: the difference is at least that.
        floor = min(there.values())
        differences += [abs(here[token] - there.get(token, min(floor, here[token]))) for token in likeliest]
        same += likeliest[0] == max(there, key=lambda token: there[token])
        places += 1
    return Difference(
        max(differences, default=0.0), sum(differences) / max(len(differences), 1), same / places if places else 1.0
    )


def together(differences: Sequence[Difference]) -> Difference:
    """The largest of the largest, and the means."""
    count = max(len(differences), 1)
    return Difference(
        max((d.largest for d in differences), default=0.0),
        sum(d.mean for d in differences) / count,
        sum(d.top1 for d in differences) / count,
    )
