"""Recipes: read strictly, with errors that name the key and the one that was likely meant."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from lunheng.errors import ConfigError
from lunheng.tuning.recipes import load_recipe, make_recipe

LEAST: dict[str, Any] = {"method": "sft", "model": {"name": "m"}, "data": {"train": "a.json"}, "output": "out"}


def test_a_recipe_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(
        'output = "out"\n[model]\nname = "smollm2-135m-instruct"\n'
        '[data]\ntrain = ["a.jsonl", {path = "b.jsonl", weight = 0.5}]\n[training]\nsteps = 20\n',
        encoding="utf-8",
    )
    recipe = load_recipe(path, "sft", **{"training.steps": 3})
    assert [(s.path, s.weight) for s in recipe.data.train] == [(tmp_path / "a.jsonl", 1.0), (tmp_path / "b.jsonl", 0.5)]
    assert recipe.training.steps == 3 and recipe.output == tmp_path / "out" and recipe.kind == "conversation"
    with pytest.raises(ConfigError, match="dpo"):
        path.write_text(path.read_text("utf-8").replace("[model]", 'method = "dpo"\n[model]', 1), encoding="utf-8")
        load_recipe(path, "sft")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"trainig": {}}, "did you mean training"),
        ({"training": {"step": 3}}, "training.step is no key of a recipe; did you mean steps"),
        ({"data": {"train": [{"path": "a", "wieght": 2}]}}, "did you mean weight"),
        ({"training": {"batch": 0}}, "training.batch"),
        ({"parameters": {"mode": "loraa"}}, "parameters.mode"),
        ({"preference": {}}, "is for dpo"),
        ({"method": "grpo"}, "needs a reward"),
        ({"method": "ppo"}, "reward model"),
        ({"method": "sftt"}, "method"),
        ({"parallel": {"devices": 2}}, "2 devices need one; ddp"),
        ({"parallel": {"device": 2}}, "did you mean devices"),
        ({"parallel": {"devices": 3, "strategy": "ddp"}}, "8 examples cannot be shared by 3"),
        ({"parallel": {"strategy": "ddp", "offload": True}}, "only fsdp"),
        ({"parallel": {"devices": 2, "strategy": "fsdp"}, "parameters": {"mode": "qlora"}}, "take ddp"),
        ({"parallel": {"devices": 2, "strategy": "zero3"}, "training": {"optimiser": "adamw_8bit"}}, "take adamw"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        make_recipe({**LEAST, **change})


def test_no_file_and_no_toml(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_recipe(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("= 3")
    with pytest.raises(ConfigError, match="not TOML"):
        load_recipe(tmp_path / "bad.toml")


@pytest.mark.parametrize("language", ["", ".zh"])
def test_the_guides_recipes_are_recipes(tmp_path: Path, language: str) -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / f"tuning{language}.md").read_text(encoding="utf-8")
    found = re.findall(r"^```toml\n# (\w+)\.toml\n(.*?)^```$", text, re.M | re.S)
    assert {"clm", "dpo", "kto", "reward"} <= {name for name, _ in found}
    for name, recipe in found:
        path = tmp_path / f"{name}.toml"
        path.write_text(recipe, encoding="utf-8")
        assert load_recipe(path).method == name


@pytest.mark.parametrize("page", ["tuning.md", "tuning.zh.md"])
def test_the_recipes_of_the_guide(page: str) -> None:
    text = (Path(__file__).parents[2] / "docs" / page).read_text(encoding="utf-8")
    recipes = [b for b in re.findall(r"^```toml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL) if "\nmethod = " in b]
    assert {make_recipe(tomllib.loads(block)).method for block in recipes} >= {"embed", "grpo", "ppo"}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"reward": {}}, "grpo needs a reward"),
        ({"reward": {"functions": ["valid_json"], "weights": [1, 2]}}, "2 weights for 1 rewards"),
        ({"reward": {"functions": ["same_language"], "schema": "a.json"}}, "only valid_json reads it"),
        ({"training": {"batch": 6}}, "no multiple of reward.samples, 4"),
        ({"reward": {"model": "r", "samples": 1}}, "take 2 or more"),
        ({"ppo": {"clip": 0.1}}, r"\[ppo\] is for ppo"),
        ({"parameters": {"dropout": 0.1}}, "noise in both"),
        ({"data": {"train": "a", "too_long": "truncate"}}, 'take "drop" or "refuse"'),
        ({"method": "ppo", "ppo": {"epoch": 2}}, "did you mean epochs"),
        ({"method": "ppo", "parallel": {"devices": 2, "strategy": "ddp"}}, "ppo runs in one process"),
        ({"method": "sft"}, r"\[reward\] is for ppo, rloo, grpo"),
    ],
)
def test_what_reinforcement_learning_refuses(change: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        make_recipe({**LEAST, "method": "grpo", "reward": {"functions": ["exact_answer"]}, **change})


def test_the_paths_of_a_reward_are_the_recipes(tmp_path: Path) -> None:
    reward = {"functions": ["valid_json"], "model": "runs/reward", "schema": "answer.json"}
    made = make_recipe({**LEAST, "method": "rloo", "reward": reward}, tmp_path)
    assert made.reward is not None and made.reward.schema == tmp_path / "answer.json"
    assert made.reward.model == str(tmp_path / "runs/reward")
