"""``lunheng tune METHOD`` from the command line: flags for a recipe, and the JSON that the documentation shows."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest
from typer.testing import CliRunner

pytest.importorskip("trl", reason="needs the extra 'tune'")

from lunheng.cli.main import app
from lunheng.testing.tiny_model import write_jsonl

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference"


@pytest.mark.parametrize("page", ["json.md", "json.zh.md"])
def test_the_result_is_as_documented(tiny_model: str, tmp_path: Path, page: str) -> None:
    text = (REFERENCE / page).read_text(encoding="utf-8")
    documented = json.loads(text.split("{ #tune-method }")[1].split("```json")[1].split("```")[0])
    if page == "json.zh.md":
        english = (REFERENCE / "json.md").read_text(encoding="utf-8")
        assert documented == json.loads(english.split("{ #tune-method }")[1].split("```json")[1].split("```")[0])
        return
    data = write_jsonl(
        tmp_path / "data.jsonl",
        [{"prompt": f"第 {i} 号? Which?", "chosen": f"好 {i}", "rejected": f"bad {i}"} for i in range(8)],
    )
    changes = ("training.steps=2", "training.batch=2", "data.validation_share=0.25", "data.window=128")
    options = ["--model", tiny_model, "--data", str(data), "--output", str(tmp_path / "out"), "--json"]
    with warnings.catch_warnings(record=True) as warned:
        result = CliRunner().invoke(app, ["tune", "dpo", *options, *(part for c in changes for part in ("--set", c))])
    assert result.exit_code == 0, result.output
    assert not [w for w in warned if issubclass(w.category, FutureWarning)]
    made = json.loads(result.stdout)
    assert set(made) == set(documented) and made["method"] == "dpo" and made["status"] == "done"
    assert set(documented["metrics"]) <= set(made["metrics"]) and set(documented["examples"]) == set(made["examples"])
    again = ["tune", "dpo", *options, *(part for c in changes for part in ("--set", c)), "--checkpoint", "1"]
    refused = CliRunner().invoke(app, again)
    assert refused.exit_code and "none of step 1; there are 2" in str(refused.exception or refused.output)


@pytest.mark.parametrize("checkpointing", [True, False])
def test_no_argument_is_deprecated(tmp_path: Path, checkpointing: bool) -> None:
    import trl

    from lunheng.tuning.arguments import arguments
    from lunheng.tuning.recipes import make_recipe

    raw = {"method": "sft", "model": {"name": "m"}, "data": {"train": "a.jsonl"}, "output": str(tmp_path)}
    recipe = make_recipe(raw, **{"training.checkpointing": checkpointing})
    with warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)
        made = arguments(recipe, trl.SFTConfig, 8, held=False)
    assert made.activation_checkpointing is made.gradient_checkpointing is checkpointing
