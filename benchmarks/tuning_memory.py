"""The memory estimate of fine-tuning beside the peak that the same run then has, each run in a process of its own.

``python benchmarks/tuning_memory.py`` writes reports/tuning_memory.md; some ten minutes on one core. The model is
SmolLM2-135M-Instruct, or a tiny one of two blocks with its vocabulary; examples are as long as the window.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from common import machine, table, write_part

MODEL = "smollm2-135m-instruct"
CASES: list[tuple[str, str, int, int, int, bool]] = [
    # model, mode, window, examples at a time, rounds, checkpointing
    ("tiny", "lora", 128, 2, 1, False),
    ("135M", "lora", 128, 1, 1, False),
    ("135M", "lora", 128, 4, 1, False),
    ("135M", "lora", 512, 1, 1, False),
    ("135M", "lora", 512, 2, 1, False),
    ("135M", "lora", 512, 2, 1, True),
    ("135M", "full", 128, 1, 1, False),
    ("135M", "full", 128, 2, 2, False),
    ("135M", "full", 512, 1, 1, True),
    ("135M", "qlora", 128, 2, 1, False),
    ("135M", "qlora", 512, 1, 1, False),
    ("135M", "qlora", 128, 1, 1, True),
]
MIB = 2**20


def one(case: list[object]) -> None:
    """Train three steps, and print what was expected and what it took."""
    from lunheng.testing.tiny_model import make_tiny_model, write_jsonl
    from lunheng.tuning.bases import base_folder
    from lunheng.tuning.methods import train
    from lunheng.tuning.recipes import make_recipe

    name, mode, window, batch, rounds, checkpointing = case
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        base = base_folder(MODEL) if name != "tiny" else str(make_tiny_model(folder / "tiny", base_folder(MODEL)))
        rows: list[dict[str, object]] = [{"prompt": "数一数。", "completion": "one 二 three 四 " * 300}] * 8
        write_jsonl(folder / "a.jsonl", rows)
        recipe = make_recipe(
            {
                "method": "sft",
                "model": {"name": base},
                "data": {
                    "train": str(folder / "a.jsonl"),
                    "window": window,
                    "too_long": "truncate",
                    "validation_share": 0,
                },
                "output": str(folder / "out"),
                "parameters": {"mode": mode},
                "training": {
                    "steps": 3,
                    "batch": int(str(batch)) * int(str(rounds)),
                    "device_batch": batch,
                    "checkpointing": checkpointing,
                    "learning_rate": 1e-4,
                },
            }
        )
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
        name, mode, window, batch, rounds, checkpointing = case
        what = f"{name} {mode}" + (", checkpointing" if checkpointing else "")
        sizes = [str(window), str(batch), str(rounds)]
        rows.append([what, *sizes, f"{found['expected'] / MIB:,.0f}", f"{found['peak'] / MIB:,.0f}", f"{off:+.1%}"])
        print(rows[-1], flush=True)
    header = ["run", "window", "examples at a time", "rounds", "expected MiB", "measured MiB", "off by"]
    write_part(
        "tuning_memory",
        "## Memory of fine-tuning: expected and measured\n\n"
        f"On {machine()}; one thread, float32, three steps of sft, the peak resident size of the process.\n"
        f"The estimate is made before the model is loaded; the worst is off by {worst:.1%}.\n\n"
        f"{table(header, rows)}",
    )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        one(json.loads(sys.argv[1]))
    else:
        main()
