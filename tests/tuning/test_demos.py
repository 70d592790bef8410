"""Each method on sets that others publish: every line is trained on, held out, or named in the quarantine file."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="needs the extra 'tune'")

from lunheng.tuning.methods import train
from lunheng.tuning.recipes import make_recipe

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "llamafactory_demos"


@pytest.mark.parametrize(
    ("method", "name"),
    [
        ("dpo", "dpo_en_demo.json"),
        ("dpo", "dpo_zh_demo.json"),
        ("reward", "dpo_zh_demo.json"),
        ("kto", "kto_en_demo.json"),
        ("clm", "wiki_demo.txt"),
    ],
)
def test_a_published_set(tiny_model: str, tmp_path: Path, method: Any, name: str) -> None:
    if not (SHARED / name).is_file():
        pytest.skip("needs shared/data/llamafactory_demos beside the checkout")
    too_long = {} if method == "clm" else {"too_long": "truncate"}
    made = train(
        make_recipe(
            {
                "method": method,
                "model": {"name": tiny_model},
                "data": {"train": str(SHARED / name), "window": 256, "validation_share": 0.02, **too_long},
                "output": str(tmp_path / "out"),
                "training": {"steps": 2, "batch": 4, "learning_rate": 1e-3},
            }
        )
    ).manifest
    assert made.status == "done" and all(math.isfinite(value) for value in made.metrics.values())
    if method == "clm":
        return
    lines = len(json.loads((SHARED / name).read_text("utf-8")))
    assert sum(made.examples.values()) == lines and made.examples["trained"] > made.examples["left_out"] > 0
    assert any(warning.startswith("truncated: ") for warning in made.warnings)
    kept = [json.loads(line) for line in (tmp_path / "out" / "quarantine.jsonl").read_text("utf-8").splitlines()]
    assert len({row["line"] for row in kept}) == len(kept) == made.examples["left_out"]
