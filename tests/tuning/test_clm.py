"""Continued pre-training: full windows, documents blind to one another, the loss as the saved model itself says."""

from __future__ import annotations

import itertools
import math
import os
import signal
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="needs the extra 'tune'")

from lunheng.errors import ConfigError
from lunheng.testing.tiny_model import write_jsonl
from lunheng.tuning.callbacks import read_log
from lunheng.tuning.data.examples import Origin, RawText
from lunheng.tuning.llm.clm import collator, on_disk, pieces, windows
from lunheng.tuning.methods import train
from lunheng.tuning.recipes import Recipe, make_recipe
from lunheng.tuning.trained import find_trained, open_tokenizer, open_trained

TEXTS = [f"第 {i} 章：仓库的门有编号。Chapter {i}: every door has a number. " * 3 for i in range(24)]


@pytest.fixture
def data(tmp_path: Path) -> dict[str, str]:
    held = write_jsonl(tmp_path / "held.jsonl", [{"text": text} for text in TEXTS[20:]])
    return {
        "train": str(write_jsonl(tmp_path / "data.jsonl", [{"text": text} for text in TEXTS[:20]])),
        "evaluation": str(held),
    }


def recipe(model: str, data: dict[str, str], output: Path, **changes: Any) -> Recipe:
    given: dict[str, Any] = {
        "method": "clm",
        "model": {"name": model},
        "data": {**data, "window": 64},
        "output": str(output),
        "training": {"steps": 8, "batch": 4, "device_batch": 2, "learning_rate": 3e-3, "save_steps": 4},
    }
    return make_recipe(given, **changes)


@pytest.mark.parametrize("mode", ["full", "lora", "qlora"])
def test_the_loss_is_what_the_saved_model_says(
    tiny_model: str, data: dict[str, str], tmp_path: Path, mode: str
) -> None:
    import torch

    trained = train(recipe(tiny_model, data, tmp_path / "out", **{"parameters.mode": mode}))
    made = trained.manifest
    assert trained.last_loss < trained.first_loss and made.metrics["loss"] < made.before["loss"]
    assert made.metrics["perplexity"] == pytest.approx(math.exp(made.metrics["loss"]), rel=1e-4)
    found = find_trained(trained.output)
    opened, tokenizer = open_trained(found), open_tokenizer(found)
    texts = [RawText(Origin("held.jsonl", i), text) for i, text in enumerate(TEXTS[20:])]
    rows = list(on_disk(tokenizer, texts, 64, tmp_path / "rows.arrow"))
    said = []
    for pair in (rows[i : i + 2] for i in range(0, len(rows), 2)):  # batches, as the trainer averages them
        total, count = 0.0, 0
        for row in pair:
            ends = list(itertools.accumulate(row["lengths"]))
            for start, end in zip([0, *ends], ends, strict=False):  # each document by itself
                ids = torch.tensor([row["input_ids"][start:end]])
                with torch.no_grad():
                    likely = opened(input_ids=ids).logits[0, :-1].log_softmax(-1)
                total -= float(likely.gather(1, ids[0, 1:].unsqueeze(1)).sum())
                count += end - start - 1
        said += [total / count] * len(pair)
    assert any(len(row["lengths"]) > 1 for row in rows)
    assert made.metrics["loss"] == pytest.approx(sum(said) / len(said), rel=1e-4)
    assert not list((tmp_path / "out").glob("tokens*"))


def test_a_resumed_run_has_the_same_curve(tiny_model: str, data: dict[str, str], tmp_path: Path) -> None:
    changes = {"training.steps": 12, "training.by_length": False}
    whole = train(recipe(tiny_model, data, tmp_path / "whole", **changes))
    halved = recipe(tiny_model, data, tmp_path / "halved", **changes)

    def stop_at_10(step: int, steps: int, text: str) -> None:
        if step == 10:
            os.kill(os.getpid(), signal.SIGTERM)

    assert train(halved, report=stop_at_10).manifest.status == "stopped"
    resumed = train(halved, resume=True)
    curves = [
        [e["loss"] for e in read_log(tmp_path / name / "log.jsonl") if "loss" in e] for name in ("whole", "halved")
    ]
    assert curves[0] == curves[1] and resumed.manifest.metrics == whole.manifest.metrics


def test_windows_are_full_and_nothing_is_lost() -> None:
    documents = [[1] * 5, [2] * 9, [3] * 2, [4] * 3]
    made = list(windows([(ids, True) for ids in documents], 8))
    assert [token for row in made for token in row["input_ids"]] == [token for ids in documents for token in ids]
    assert [row["lengths"] for row in made] == [[5, 3], [6, 2], [3]]
    assert list(windows([([1, 1], False), ([2], True), ([3], True)], 8)) == [
        {"input_ids": [1, 1, 2, 3], "lengths": [3, 1]}  # a document in two parts is one
    ]
    assert list(windows([([1] * 9, True)], 8)) == [{"input_ids": [1] * 8, "lengths": [8]}]


def test_paragraphs_of_one_file_are_one_document() -> None:
    texts = [RawText(Origin("a.txt", 1), "甲"), RawText(Origin("a.txt", 3), "乙"), RawText(Origin("b.jsonl", 1), "c")]
    made = list(pieces([*texts, RawText(Origin("b.jsonl", 2), "d"), *texts[:2]]))
    assert [(piece.text, piece.begins, piece.ends) for piece in made] == [
        ("甲\n\n", True, False),
        ("乙", False, True),
        ("c", True, True),
        ("d", True, True),
        ("甲\n\n", True, False),  # the file a second time
        ("乙", False, True),
    ]


def test_documents_do_not_see_each_other(tiny_model: str, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    texts = [
        RawText(Origin("x.jsonl", i), text) for i, text in enumerate(("甲乙丙。", "One two three four.", "丁 mixed"))
    ]
    rows = on_disk(tokenizer, texts, 12, tmp_path / "rows.arrow")
    assert len(rows) > 1 and tokenizer.eos_token_id in rows[0]["input_ids"]
    batch = collator(tokenizer.pad_token_id, across=False)(list(rows))
    model = AutoModelForCausalLM.from_pretrained(tiny_model).eval()
    with torch.no_grad():
        together = model(**batch, use_cache=False).logits
        for number, row in enumerate(rows):
            start = 0
            for length in row["lengths"]:
                alone = model(input_ids=batch["input_ids"][number : number + 1, start : start + length]).logits[0]
                assert torch.allclose(alone, together[number, start : start + length], atol=1e-5)
                assert batch["labels"][number, start] == -100  # nothing before it tells what it begins with
                start += length
    seen = collator(tokenizer.pad_token_id, across=True)(list(rows))
    assert (
        seen["position_ids"][0].tolist() == list(range(12))
        and (seen["labels"] == -100).sum() < (batch["labels"] == -100).sum()
    )


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"data.too_long": "truncate"}, "clm fills every window"),
        ({"model.template": "chatml"}, "without a chat template"),
        ({"parameters.mode": "prompt"}, "say data.across_documents = true"),
    ],
)
def test_what_does_not_go_together(
    tiny_model: str, data: dict[str, str], tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        recipe(tiny_model, data, tmp_path / "out", **changes)
