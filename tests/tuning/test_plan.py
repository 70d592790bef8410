"""The dry run of every recipe that is shipped, on the machine that it is written for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

pytest.importorskip("trl", reason="needs the extra 'tune'")

from lunheng.cli.main import app
from lunheng.errors import ConfigError
from lunheng.tuning.planning.hardware import Hardware
from lunheng.tuning.planning.plan import imagined, measured_flops, plan
from lunheng.tuning.recipes import load_recipe

RECIPES = Path(__file__).resolve().parents[2] / "examples" / "recipes"
GIB = 2**30
CPU = Hardware("cpu", 2.0, 2, 16 * GIB, 12 * GIB, 100 * GIB, cpu_bfloat16=False)
MACHINES = {
    "cpu-smoke": (CPU, 134_515_008, 4_884_480),
    "qwen2.5-7b-qlora": (imagined(1, 24), 7_615_616_512, 40_370_176),
    "qwen3-8b-qlora": (imagined(1, 24), 8_190_735_360, 43_646_976),
    "qwen2.5-72b-qlora": (imagined(1, 80), 72_706_203_648, 210_534_400),
    "qwen3-8b-full-fsdp": (imagined(8, 80), 8_190_735_360, 8_190_735_360),
    "dpo-after-sft": (imagined(1, 24), 7_615_616_512, 40_370_176),
    "bge-m3": (imagined(1, 24), 567_754_752, 567_754_752),
    "bge-large-zh": (imagined(1, 24), 325_522_432, 325_522_432),
    "bge-reranker": (imagined(1, 24), 567_755_777, 567_755_777),
}
"""Each recipe's machine, parameters in all, parameters that learn."""


def test_every_recipe_is_planned() -> None:
    assert {path.stem for path in RECIPES.glob("*.toml")} == set(MACHINES)


@pytest.mark.parametrize("name", MACHINES)
def test_a_shipped_recipe_fits_its_machine(name: str) -> None:
    machine, parameters, trained = MACHINES[name]
    made = plan(load_recipe(RECIPES / f"{name}.toml"), machine)
    assert made.fits, made.remedy
    assert (made.estimate.parameters, made.estimate.trained) == (parameters, trained)
    assert made.steps and made.tokens and made.seconds
    assert 0.1 * made.estimate.available < made.estimate.total < made.estimate.available
    assert made.recipe.training.device_batch == made.estimate.batch


def test_what_does_not_fit_and_what_is_not_there(tmp_path: Path) -> None:
    recipe = str(RECIPES / "qwen3-8b-qlora.toml")
    run = CliRunner().invoke(
        app, ["tune", "plan", "--recipe", recipe, "--gpus", "1", "--gpu-memory", "8", "--json", "--set", "data.train=x"]
    )
    assert run.exit_code == 1
    found = json.loads(run.stdout)
    assert not found["fits"] and "needs about" in found["remedy"]
    assert found["steps"] is None and "without data" in found["notes"][0]
    with pytest.raises(ConfigError, match="--gpus 8"):
        plan(load_recipe(RECIPES / "qwen3-8b-full-fsdp.toml"), imagined(2, 80))


def test_time_is_measured_or_given() -> None:
    assert measured_flops("float32", 128, 0.01) > 1e8
    recipe = load_recipe(RECIPES / "cpu-smoke.toml")
    slow, fast = plan(recipe, CPU, 0.01), plan(recipe, CPU, 0.1)
    assert slow.seconds and fast.seconds and slow.seconds == pytest.approx(10 * fast.seconds)
