"""Fine-tuning a reranker: every loss trains, the right passages rise, and it is measured on what the search finds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sentence_transformers", reason="needs the extra 'tune'")

from lunheng.errors import ConfigError
from lunheng.testing.tiny_encoder import make_tiny_encoder
from lunheng.testing.tiny_model import write_jsonl
from lunheng.tuning.callbacks import read_log
from lunheng.tuning.data.examples import Origin, Triple
from lunheng.tuning.encoder_parts import RerankingPart
from lunheng.tuning.encoders.reranker import columns_of, rerank
from lunheng.tuning.encoders.served import open_reranker
from lunheng.tuning.recipes import make_recipe

THINGS = ("pump", "valve", "filter", "motor", "水泵", "阀门", "滤网", "电机", "sensor", "fan", "传感器", "风扇")
ASKED = ("how do I clean the {}", "{} 怎么清洗", "what does the {} weigh", "{} 有多重")
SAID = ("wash {} with warm water", "用温水清洗 {}", "{} has a mass of two kilograms", "{} 重两公斤")
PASSAGES = [said.format(thing) for thing in THINGS for said in SAID]
ROWS: list[dict[str, object]] = [
    {
        "query": asked.format(thing),
        "positive": said.format(thing),
        "negatives": [other.format(thing) for other in SAID if other != said],
        "group": f"{thing} {n}",
    }
    for thing in THINGS
    for n, (asked, said) in enumerate(zip(ASKED, SAID, strict=True))
]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_encoder(
        tmp_path_factory.mktemp("base") / "tiny", [str(r[k]) for r in ROWS for k in ("query", "positive")]
    )


def raw(base: Path, folder: Path, reranking: dict[str, Any] | None = None, **training: Any) -> dict[str, Any]:
    return {
        "method": "rerank",
        "model": {"name": str(base)},
        "data": {"train": str(write_jsonl(folder / "data.jsonl", ROWS)), "window": 48, "validation_share": 0.25},
        "output": str(folder / "out"),
        "training": {"steps": 12, "batch": 8, "learning_rate": 3e-3, **training},
        "reranking": {"negatives": 3, **(reranking or {})},
    }


def search(question: str, count: int) -> list[str]:
    """A first stage that knows the thing that is asked of, and nothing else."""
    thing = next(t for t in THINGS if t in question)
    return [p for p in PASSAGES if thing in p.split() or thing in p][:count]


def test_it_gets_better_than_the_first_stage(base: Path, tmp_path: Path) -> None:
    given = raw(base, tmp_path, {"loss": "lambda", "candidates": 8}, steps=60, evaluate_steps=20)
    tuned = rerank(make_recipe(given), first_stage=search)
    assert tuned.lift is not None and tuned.compared_with == "first stage"
    assert tuned.lift.better, tuned.lift.refusal
    assert tuned.form.format == "onnx"
    assert tuned.trained.manifest.metrics["validation_ndcg@10"] > tuned.trained.manifest.before["validation_ndcg@10"]
    again = rerank(
        make_recipe({**raw(tuned.trained.model, tmp_path, steps=1), "output": str(tmp_path / "again")}),
        first_stage=search,
    )
    assert again.compared_with == "base", "a cross-encoder that is better than the first stage is what must be beaten"
    scores = open_reranker(tuned.form).score("how do I clean the pump", [s.format("pump") for s in SAID])
    assert int(np.argmax(scores)) in (0, 1)


@pytest.mark.parametrize("loss", ["bce", "list_net", "mse", "margin_mse"])
def test_every_loss_trains(base: Path, tmp_path: Path, loss: str, monkeypatch: pytest.MonkeyPatch) -> None:
    part: dict[str, Any] = {"loss": loss}
    if loss.endswith("mse"):
        part["teacher"] = "overlap"
        monkeypatch.setattr("lunheng.tuning.encoders.reranker._teacher", lambda name: Overlap())
    tuned = rerank(make_recipe(raw(base, tmp_path, part, steps=24)), first_stage=search)
    losses = [entry["loss"] for entry in read_log(tuned.trained.output / "log.jsonl") if "loss" in entry]
    assert len(losses) == 24 and sum(losses[12:]) < sum(losses[:12])


class Overlap:
    """A stronger scorer, for distillation: it knows which answer goes with which question."""

    fingerprint = "overlap"

    def score(self, query: str, texts: Any) -> Any:
        kind = next(n for n, asked in enumerate(ASKED) if all(w in query for w in asked.replace("{}", " ").split()))
        return np.array([3.0 if all(w in t for w in SAID[kind].replace("{}", " ").split()) else -1.0 for t in texts])


def test_the_shapes_of_the_losses() -> None:
    rows = [Triple(Origin("x", 1), "q", "a", ("n", "m"))]
    assert columns_of(RerankingPart(negatives=2), rows, None) == {
        "query": ["q"] * 3,
        "passage": ["a", "n", "m"],
        "label": [1.0, 0.0, 0.0],
    }
    listed = columns_of(RerankingPart(loss="lambda", negatives=2), rows, None)
    assert listed == {"query": ["q"], "passages": [["a", "n", "m"]], "labels": [[1.0, 0.0, 0.0]]}
    distilled = columns_of(RerankingPart(loss="margin_mse", negatives=2, teacher="t"), rows, Lengths())
    assert distilled["label"] == [[1.0, 1.0, 1.0]] and distilled["negative_2"] == ["m"]


class Lengths:
    fingerprint = ""

    def score(self, query: str, texts: Any) -> Any:
        return np.array([float(len(t)) for t in texts], np.float32)


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ({"teacher": "x"}, "reranking.teacher is for mse, margin_mse"),
        ({"loss": "mse"}, "learns from a stronger reranker"),
        ({"loss": "pairwise"}, "reranking.loss"),
        ({"negatives": 0}, "reranking.negatives"),
    ],
)
def test_what_it_does_not_use_is_an_error(tmp_path: Path, part: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        make_recipe(raw(tmp_path, tmp_path, part))


def test_a_first_stage_is_named_once(base: Path, tmp_path: Path) -> None:
    recipe = make_recipe(raw(base, tmp_path, {"first_stage": "multilingual-e5-small"}))
    with pytest.raises(ConfigError, match="found by what the caller gives"):
        rerank(recipe, first_stage=search)
