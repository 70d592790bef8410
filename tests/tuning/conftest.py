"""What the tests of fine-tuning share: a list of trained models of their own, and a tiny model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

REAL = "smollm2-135m-instruct"


@pytest.fixture(autouse=True)
def _own_list(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUNHENG_DATA", str(tmp_path_factory.mktemp("data")))


@pytest.fixture(scope="session")
def real_model() -> str:
    """The folder of the smallest real model."""
    pytest.importorskip("trl", reason="needs the extra 'tune'")
    from lunheng.models.store import installed
    from lunheng.tuning.bases import base_folder

    if installed(REAL) is None:
        pytest.skip(f"needs the model: lunheng models pull {REAL}")
    return base_folder(REAL)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory, real_model: str) -> str:
    """A tiny Llama with the real model's tokenizer and chat template."""
    from lunheng.testing.tiny_model import make_tiny_model

    return str(make_tiny_model(tmp_path_factory.mktemp("tiny"), real_model))


@pytest.fixture(scope="session")
def log_prob() -> Callable[[Any, Sequence[int], Sequence[int]], float]:
    """The log-probability of an answer after a prompt, from a model's logits: what a trainer says is held against it."""

    def asked(model: Any, prompt: Sequence[int], answer: Sequence[int]) -> float:
        import torch

        ids = torch.tensor([[*prompt, *answer]])
        with torch.no_grad():
            said = model(input_ids=ids).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
        return float(said.gather(1, torch.tensor(answer).unsqueeze(1)).sum())

    return asked
