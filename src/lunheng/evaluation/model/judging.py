"""A language model as the judge of another: its verdict is checked against a form, and asked for again once.

Called by ``pairwise``, ``mt_bench`` and ``safety``. A verdict that does not keep the form the second time is none: it is
counted and left out, and never becomes a number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from lunheng.errors import ModelError
from lunheng.evaluation.model.json_validity import parse_json
from lunheng.protocols import LLM
from lunheng.types import Message

Form = TypeVar("Form", bound=BaseModel)
_TOKENS = 512


def judge(model: LLM, question: str, form: type[Form]) -> Form | None:
    """The verdict of ``model``, or None where it does not keep to ``form`` in two attempts.

    Raises:
        ModelError: the model cannot be asked.
    """
    conversation = [Message("user", question)]
    for _ in range(2):
        text = model.generate(conversation, schema=form.model_json_schema(), max_tokens=_TOKENS, temperature=0.0).text
        valid, value = parse_json(text, fenced=True)
        if valid:
            try:
                return form.model_validate(value, strict=True)
            except ValidationError as error:
                wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        else:
            wrong = "it is not JSON"
        conversation += [
            Message("assistant", text or "-"),
            Message("user", f"That cannot be read ({wrong}). Answer with the JSON alone. 只回答 JSON。"),
        ]
    return None


def insist_on_verdicts(verdicts: Sequence[object | None], judge_name: str) -> tuple[str, ...]:
    """A note of how many items the judge could not judge.

    Raises:
        ModelError: it judged none.
    """
    failed = sum(verdict is None for verdict in verdicts)
    if failed == len(verdicts):
        raise ModelError(
            f"judge {judge_name}: gave no verdict that can be read, on any of {failed} items; take a larger model as judge"
        )
    return (f"{failed} of {len(verdicts)} items could not be judged and are left out",) if failed else ()
