"""How tasks ask a model: an answer to each conversation, with progress; or its likelihoods, where it gives them.

Called by the tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lunheng.errors import ModelError
from lunheng.protocols import LLM, LikelihoodModel
from lunheng.types import Message

Progress = Callable[[int, int], None]
"""Gets (done, all)."""


def silent(done: int, total: int) -> None:
    """No progress."""


def answers(
    model: LLM, conversations: Sequence[Sequence[Message]], max_tokens: int, progress: Progress = silent
) -> list[str]:
    """The model's answer to each, the most likely one (temperature 0).

    Raises:
        ModelError: the model cannot be asked, or a conversation does not fit its window.
    """
    given: list[str] = []
    for conversation in conversations:
        given.append(model.generate(conversation, max_tokens=max_tokens, temperature=0.0).text.strip())
        progress(len(given), len(conversations))
    return given


def likelihood_model(model: object, task: str) -> LikelihoodModel:
    """``model`` as one that gives likelihoods.

    Raises:
        ModelError: it does not.
    """
    if isinstance(model, LikelihoodModel):
        return model
    raise ModelError(
        f"task {task}: needs the likelihood of given words, which a {type(model).__name__} cannot give. Name a model's "
        "folder in Hugging Face's form (a run of lunheng tune has one), or measure answers instead: --task answers"
    )
