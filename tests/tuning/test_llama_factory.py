"""YAML files as LLaMA-Factory's own examples are written, to recipes; nothing is lost without a word."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

pytest.importorskip("yaml", reason="needs the extra 'tune'")
pytest.importorskip("tomli_w", reason="needs the extra 'tune'")

import yaml

from lunheng.cli.main import app
from lunheng.errors import ConfigError
from lunheng.tuning.llama_factory import Imported, import_yaml
from lunheng.tuning.recipes import make_recipe

COMMON: dict[str, Any] = {
    "model_name_or_path": "Qwen/Qwen3-4B-Instruct-2507",
    "trust_remote_code": True,
    "do_train": True,
    "finetuning_type": "lora",
    "lora_rank": 8,
    "lora_target": "all",
    "template": "qwen3_nothink",
    "cutoff_len": 2048,
    "preprocessing_num_workers": 16,
    "dataloader_num_workers": 4,
    "logging_steps": 10,
    "save_steps": 500,
    "plot_loss": True,
    "overwrite_output_dir": True,
    "report_to": "none",
    "per_device_train_batch_size": 1,
    "gradient_accumulation_steps": 8,
    "learning_rate": "1e-4",
    "num_train_epochs": 3.0,
    "lr_scheduler_type": "cosine",
    "warmup_ratio": 0.1,
    "bf16": True,
    "ddp_timeout": 180000000,
}
INFORMATION = {
    "alpaca_zh_demo": {"file_name": "alpaca_zh_demo.json"},
    "renamed": {"file_name": "renamed.jsonl", "columns": {"prompt": "问题", "response": "回答"}},
    "dpo_en_demo": {
        "file_name": "dpo_en_demo.json",
        "ranking": True,
        "formatting": "sharegpt",
        "columns": {"messages": "conversations", "chosen": "chosen", "rejected": "rejected"},
    },
    "kto_en_demo": {
        "file_name": "kto_en_demo.json",
        "formatting": "sharegpt",
        "columns": {"messages": "messages", "kto_tag": "label"},
        "tags": {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"},
    },
    "far_away": {"hf_hub_url": "someone/something"},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "dataset_info.json").write_text(json.dumps(INFORMATION), encoding="utf-8")
    return tmp_path


def read(folder: Path, devices: int = 1, **keys: Any) -> Imported:
    path = folder / "examples" / "one.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump({**COMMON, **keys}, allow_unicode=True), encoding="utf-8")
    made = import_yaml(path, devices)
    make_recipe(made.recipe)  # it is one
    return made


def test_supervised_in_four_bits(folder: Path) -> None:
    made = read(
        folder,
        stage="sft",
        dataset="alpaca_zh_demo,renamed",
        quantization_bit=4,
        quantization_method="bnb",
        output_dir="saves/qwen3-4b/lora/sft",
        val_size=0.1,
        neat_packing=True,
        max_samples=1000,
    )
    recipe = made.recipe
    assert recipe["method"] == "sft" and recipe["output"] == "saves/qwen3-4b/lora/sft"
    assert recipe["parameters"] == {"mode": "qlora", "rank": 8}
    sources = recipe["data"]["train"]
    assert [s["path"] for s in sources] == [str(folder / "data" / n) for n in ("alpaca_zh_demo.json", "renamed.jsonl")]
    assert sources[1]["columns"] == {"instruction": "问题", "output": "回答"}
    assert recipe["data"]["packing"] is True and recipe["data"]["validation_share"] == 0.1
    training = recipe["training"]
    assert (training["batch"], training["device_batch"], training["learning_rate"]) == (8, 1, 1e-4)
    assert (training["warmup_share"], training["seed"]) == (0.1, 42)
    assert set(made.unmapped) == {"template", "max_samples"}


@pytest.mark.parametrize(
    ("stage", "method", "keys", "part"),
    [
        ("pt", "clm", {"dataset": "alpaca_zh_demo"}, {}),
        ("rm", "reward", {"dataset": "dpo_en_demo"}, {}),
        ("dpo", "dpo", {"dataset": "dpo_en_demo", "pref_beta": 0.2, "pref_loss": "ipo"}, {"beta": 0.2, "loss": "ipo"}),
        ("kto", "kto", {"dataset": "kto_en_demo", "pref_beta": 0.1}, {"beta": 0.1}),
        (
            "ppo",
            "ppo",
            {"dataset": "alpaca_zh_demo", "reward_model": "saves/reward", "max_new_tokens": 512},
            {"model": "saves/reward", "completion_tokens": 512},
        ),
    ],
)
def test_every_stage(folder: Path, stage: str, method: str, keys: dict[str, Any], part: dict[str, Any]) -> None:
    made = read(folder, stage=stage, **keys)
    assert made.recipe["method"] == method
    assert (made.recipe.get("preference") or made.recipe.get("reward") or {}) == part
    assert set(made.unmapped) == {"template"}


def test_many_gpus_and_full_parameters(folder: Path) -> None:
    made = read(
        folder,
        8,
        stage="sft",
        dataset="alpaca_zh_demo",
        finetuning_type="full",
        deepspeed="examples/deepspeed/ds_z3_offload_config.json",
        optim="adamw_torch_fused",
    )
    assert made.recipe["parallel"] == {"devices": 8, "strategy": "zero3", "offload": True}
    assert made.recipe["training"]["batch"] == 64 and made.recipe["parameters"]["mode"] == "full"
    alone = read(folder, stage="sft", dataset="alpaca_zh_demo", deepspeed="examples/deepspeed/ds_z2_config.json")
    assert "parallel" not in alone.recipe and "--devices" in alone.unmapped["deepspeed"]


def test_what_has_no_counterpart_is_named(folder: Path) -> None:
    made = read(
        folder,
        stage="sft",
        dataset="far_away,unknown",
        finetuning_type="freeze",
        use_galore=True,
        quantization_bit=8,
        optim="muon",
        pref_loss="simpo",
        lr_scheduler_type="polynomial",
        additional_target="embed_tokens,lm_head",
        val_size=50,
    )
    expected = {"finetuning_type", "use_galore", "quantization_bit", "optim", "pref_loss", "lr_scheduler_type"}
    expected |= {"dataset: far_away", "dataset: unknown", "template", "val_size"}
    assert set(made.unmapped) == expected
    assert "someone/something" in made.unmapped["dataset: far_away"]
    assert made.recipe["parameters"]["save_embeddings"] is True


def test_what_is_no_such_file(tmp_path: Path) -> None:
    for text, says in (
        ("a: [", "not YAML"),
        ("a: 1", "model_name_or_path"),
        ("model_name_or_path: m\nstage: x", "stage"),
    ):
        (tmp_path / "x.yaml").write_text(text)
        with pytest.raises(ConfigError, match=says):
            import_yaml(tmp_path / "x.yaml")


def test_the_command_writes_a_recipe(folder: Path) -> None:
    read(folder, stage="sft", dataset="alpaca_zh_demo", use_dora=True)
    out = folder / "made" / "recipe.toml"
    done = CliRunner().invoke(app, ["tune", "import", str(folder / "examples" / "one.yaml"), "-o", str(out)])
    assert done.exit_code == 0 and "template" in done.output
    assert tomllib.loads(out.read_text("utf-8"))["parameters"]["mode"] == "dora"
