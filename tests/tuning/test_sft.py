"""SFT on a real small model: the mask is the assistant's words, the loss falls, only the adapter changes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("trl", reason="needs the extra 'tune'")

from lunheng.errors import DataError
from lunheng.models.store import installed
from lunheng.tuning.bases import base_folder
from lunheng.tuning.data.examples import Conversation, Origin, Turn
from lunheng.tuning.llm.sft import sft
from lunheng.tuning.preflight import ends_learnt, prepare, shown_mask
from lunheng.tuning.recipes import make_recipe

MODEL = "smollm2-135m-instruct"


@pytest.fixture(scope="module")
def folder() -> str:
    if installed(MODEL) is None:
        pytest.skip(f"needs the model: lunheng models pull {MODEL}")
    return base_folder(MODEL)


def test_the_mask_is_what_the_assistant_says(folder: str) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    turns = (Turn("user", "你好"), Turn("assistant", "您好。"), Turn("user", "Bye"), Turn("assistant", "Goodbye."))
    prepared = prepare(tokenizer, [Conversation(Origin("x", 1), turns)], 256, "refuse")
    (row,) = prepared.rows
    assert [text for text, learnt in shown_mask(tokenizer, row) if learnt] == ["您好。<|im_end|>", "Goodbye.<|im_end|>"]
    assert ends_learnt(tokenizer, row) and prepared.learnt == row.learnt
    with pytest.raises(DataError, match="over the window"):
        prepare(tokenizer, [Conversation(Origin("x", 1), turns)], 16, "refuse")
    cut = prepare(tokenizer, [Conversation(Origin("x", 1), turns)] * 2, 60, "truncate")
    assert [p.kind for p in cut.problems] == [] or all(p.kind == "truncated" for p in cut.problems)


def test_a_few_steps_of_lora(folder: str, tmp_path: Path) -> None:
    rows = [
        {"instruction": f"What is the code of door {i % 4}?", "output": f"The code is KESTREL-{i % 4}."}
        for i in range(24)
    ]
    data = tmp_path / "data.jsonl"
    data.write_text("\n".join(json.dumps(row) for row in [*rows, {"instruction": "x", "output": ""}]), encoding="utf-8")
    recipe = make_recipe(
        {
            "method": "sft",
            "model": {"name": folder},
            "data": {"train": str(data), "window": 128, "validation_share": 0.0},
            "output": str(tmp_path / "out"),
            "training": {"steps": 6, "batch": 2, "learning_rate": 1e-3},
        }
    )
    trained = sft(recipe)
    assert trained.steps == 6 and trained.last_loss < trained.first_loss and trained.left_out == 1
    assert (tmp_path / "out" / "model" / "adapter_model.safetensors").is_file()
