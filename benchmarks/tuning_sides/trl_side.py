"""Plain TRL and PEFT, as their quickstarts have it: prompts and completions, LoRA over all linear layers."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from clock import JOB, Clock, report
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import SFTConfig, SFTTrainer

rows = [json.loads(line) for line in Path(JOB["data"]).read_text(encoding="utf-8").splitlines()]
made = [
    {
        "prompt": [{"role": "user", "content": row["instruction"]}],
        "completion": [{"role": "assistant", "content": row["output"]}],
    }
    for row in rows
]
clock = Clock()
trainer = SFTTrainer(
    model=AutoModelForCausalLM.from_pretrained(JOB["model"], dtype=torch.float32),
    processing_class=AutoTokenizer.from_pretrained(JOB["model"]),
    train_dataset=Dataset.from_list(made),
    peft_config=LoraConfig(
        r=JOB["rank"], lora_alpha=2 * JOB["rank"], target_modules="all-linear", task_type="CAUSAL_LM"
    ),
    args=SFTConfig(
        output_dir=JOB["output"],
        num_train_epochs=1,
        per_device_train_batch_size=JOB["batch"],
        learning_rate=JOB["learning_rate"],
        max_length=JOB["window"],
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        logging_steps=1,
        report_to="none",
        save_strategy="no",
    ),
    callbacks=[clock],
)
trainer.train()
report(clock, [entry["loss"] for entry in trainer.state.log_history if "loss" in entry])
