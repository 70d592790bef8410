"""LLaMA-Factory: the same as its own YAML, through the function that its command line calls."""

from __future__ import annotations

import importlib.util
import json
import sys
import types
from pathlib import Path

from clock import JOB, Clock, report

if importlib.util.find_spec("torchaudio") is None:
    # It imports torchaudio for sounds, of which there are none here, and not every torch has one.
    sys.modules["torchaudio"] = types.ModuleType("torchaudio")

from llamafactory.train.tuner import run_exp

folder = Path(JOB["output"])
folder.mkdir(parents=True, exist_ok=True)
(folder / "dataset_info.json").write_text(json.dumps({"bench": {"file_name": JOB["data"]}}), encoding="utf-8")
clock = Clock()
run_exp(
    {
        "model_name_or_path": JOB["model"],
        "stage": "sft",
        "do_train": True,
        "finetuning_type": "lora",
        "lora_rank": JOB["rank"],
        "lora_alpha": 2 * JOB["rank"],
        "lora_target": "all",
        "dataset": "bench",
        "dataset_dir": str(folder),
        "template": "smollm2",
        "cutoff_len": JOB["window"],
        "output_dir": str(folder / "out"),
        "per_device_train_batch_size": JOB["batch"],
        "gradient_accumulation_steps": 1,
        "learning_rate": JOB["learning_rate"],
        "num_train_epochs": 1,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "use_cpu": True,
        "disable_gradient_checkpointing": True,
        "dataloader_num_workers": 0,
    },
    callbacks=[clock],
)
log = [json.loads(line) for line in (folder / "out" / "trainer_log.jsonl").read_text().splitlines()]
report(clock, [entry["loss"] for entry in log if "loss" in entry])
