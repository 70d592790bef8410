"""The memory estimate of fine-tuning beside the peak that the same run then has, each run in a process of its own.

``python benchmarks/tuning_memory.py`` writes reports/tuning_memory.md; some fifteen minutes on one core. The model is
SmolLM2-135M-Instruct, a tiny one of two blocks with its vocabulary, or multilingual-e5-small; examples are as long as
the window.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from common import machine, table, write_part

CASES: list[tuple[str, str, str, int, int, int, bool]] = [
    # model, method, mode, window, examples at a time, rounds, checkpointing
    ("tiny", "sft", "lora", 128, 2, 1, False),
    ("135M", "sft", "lora", 128, 1, 1, False),
    ("135M", "sft", "lora", 128, 4, 1, False),
    ("135M", "sft", "lora", 512, 1, 1, False),
    ("135M", "sft", "lora", 512, 2, 1, False),
    ("135M", "sft", "lora", 512, 2, 1, True),
    ("135M", "sft", "full", 128, 1, 1, False),
    ("135M", "sft", "full", 128, 2, 2, False),
    ("135M", "sft", "full", 512, 1, 1, True),
    ("135M", "sft", "qlora", 128, 2, 1, False),
    ("135M", "sft", "qlora", 512, 1, 1, False),
    ("135M", "sft", "qlora", 128, 1, 1, True),
    ("135M", "dpo", "lora", 256, 1, 1, False),
    ("135M", "dpo", "full", 128, 1, 1, False),
    ("135M", "reward", "lora", 256, 2, 1, False),
    ("135M", "grpo", "lora", 128, 2, 2, False),
    ("e5-small", "embed", "full", 128, 16, 1, False),
]
MODELS = {"135M": "smollm2-135m-instruct", "e5-small": "multilingual-e5-small"}
LONG = "one 二 three 四 " * 300
ROWS: dict[str, list[dict[str, object]]] = {
    "sft": [{"prompt": "数一数。", "completion": LONG}] * 8,
    "dpo": [{"prompt": "数一数。", "chosen": LONG, "rejected": "四 three 二 one " * 300}] * 8,
    "reward": [{"prompt": "数一数。", "chosen": LONG, "rejected": "四 three 二 one " * 300}] * 8,
    # The prompt takes half of the window, and what is written the other half, since the model never ends it.
    "grpo": [{"prompt": "one 二 three 四 " * 3, "answer": "四"}] * 8,
    "embed": [{"query": f"{n} {LONG}", "positive": f"{n} {LONG}", "group": str(n)} for n in range(40)],
}
MIB = 2**20


def many_letters(prompt: str, completion: str, answer: str) -> float:
    """A reward that no two completions have alike."""
    return len(set(completion)) / 100


def one(case: list[object]) -> None:
    """Train three steps, and print what was expected and what it took."""
    from lunheng.testing.tiny_model import make_tiny_model, write_jsonl
    from lunheng.tuning.bases import base_folder
    from lunheng.tuning.methods import train
    from lunheng.tuning.recipes import make_recipe

    name, method, mode, window, batch, rounds, checkpointing = case
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        base = (
            MODELS[str(name)] if name != "tiny" else str(make_tiny_model(folder / "tiny", base_folder(MODELS["135M"])))
        )
        write_jsonl(folder / "a.jsonl", ROWS[str(method)])
        plain: dict[str, object] = {
            "method": method,
            "model": {"name": base},
            "data": {
                "train": str(folder / "a.jsonl"),
                "window": window,
                # What embeds is measured on what it holds out, and prompts are never cut.
                "too_long": "refuse" if method == "grpo" else "truncate",
                "validation_share": 0.2 if method == "embed" else 0,
            },
            "output": str(folder / "out"),
            "parameters": {"mode": mode},
            "training": {
                "steps": 1 if method == "grpo" else 3,
                "batch": int(str(batch)) * int(str(rounds)),
                "device_batch": batch,
                "checkpointing": checkpointing,
                "learning_rate": 1e-4,
            },
        }
        if method == "grpo":
            plain["reward"] = {
                "functions": ["tuning_memory:many_letters"],
                "samples": 4,
                "completion_tokens": int(str(window)) // 2,
            }
        recipe = make_recipe(plain)
        made = train(recipe).manifest
    print(json.dumps({"expected": sum(made.estimate.values()), "peak": made.peak_bytes}))


def main() -> None:
    rows = []
    worst = 0.0
    for case in CASES:
        done = subprocess.run(
            [sys.executable, __file__, json.dumps(case)],
            capture_output=True,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        )
        if done.returncode:
            raise SystemExit(f"{case}: {done.stderr[-2000:]}")
        found = json.loads(done.stdout.splitlines()[-1])
        off = found["expected"] / found["peak"] - 1
        worst = max(worst, abs(off))
        name, method, mode, window, batch, rounds, checkpointing = case
        what = f"{name} {method} {mode}" + (", checkpointing" if checkpointing else "")
        sizes = [str(window), str(batch), str(rounds)]
        rows.append([what, *sizes, f"{found['expected'] / MIB:,.0f}", f"{found['peak'] / MIB:,.0f}", f"{off:+.1%}"])
        print(rows[-1], flush=True)
    header = ["run", "window", "examples at a time", "rounds", "expected MiB", "measured MiB", "off by"]
    write_part(
        "tuning_memory",
        "## Memory of fine-tuning: expected and measured\n\n"
        f"On {machine()}; one thread, float32, three steps (of grpo one), the peak resident size of the process.\n"
        f"The estimate is made before the model is loaded; the worst is off by {worst:.1%}.\n\n"
        f"{table(header, rows)}",
    )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        one(json.loads(sys.argv[1]))
    else:
        main()
