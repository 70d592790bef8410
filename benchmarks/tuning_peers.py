"""Supervised fine-tuning beside plain TRL and LLaMA-Factory: tokens a second and memory on the same work.

    python benchmarks/tuning_peers.py [--rounds 2] [--rows 48] [--python llamafactory=/path/to/bin/python]

Called by ``make bench-tuning``. Every side trains the same LoRA on the same examples once, in float32, in a fresh
process; LLaMA-Factory pins an older stack and has a virtual environment of its own in ``.work/``. The sides take
turns, and each one's best round counts: the machines are shared.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

from common import file_digest, machine, table, write_part
from lunheng.tuning.bases import base_folder

HERE = Path(__file__).resolve().parent
WORK = HERE / ".work"
MODEL = "smollm2-135m-instruct"
SIDES = {"lunheng": "Lunheng", "trl": "plain TRL", "llamafactory": "LLaMA-Factory"}
LLAMAFACTORY_NEEDS = (
    *("accelerate<=1.11.0", "datasets<=4.0.0", "peft<=0.18.1", "trl<=0.24.0", "transformers<=5.6.0", "tyro<0.9.0"),
    *("einops", "fire", "matplotlib", "modelscope", "omegaconf", "pandas", "protobuf", "scipy", "sentencepiece"),
    *("sse-starlette", "tiktoken", "uvicorn", "fastapi", "av<=16.0.0", "torchdata<=0.11.0"),
)
WINDOW, BATCH, RANK, RATE = 256, 4, 16, 2e-4


def rows_of(data: Path, count: int, tokenizer: Any) -> list[dict[str, str]]:
    """The first examples that fit into the window whole, so that every side learns the same tokens."""
    kept = []
    for row in json.loads(data.read_text(encoding="utf-8")):
        asked = "\n".join(part for part in (row["instruction"], row.get("input", "")) if part)
        messages = [{"role": "user", "content": asked}, {"role": "assistant", "content": row["output"]}]
        text = tokenizer.apply_chat_template(messages, tokenize=False)
        tokens = len(tokenizer(text, add_special_tokens=False)["input_ids"])
        if tokens <= WINDOW and row["output"].strip():
            kept.append({"instruction": asked, "input": "", "output": row["output"], "tokens": tokens})
        if len(kept) == count:
            break
    return kept


def python_of(side: str, given: dict[str, str]) -> str:
    """The interpreter of a side, made where it is not there."""
    if side in given:
        return given[side]
    if side != "llamafactory":
        return sys.executable
    folder = WORK / "venv-llamafactory"
    python = folder / "bin" / "python"
    if not python.is_file():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, "torch==2.13.0"], check=True)
        # Without what it needs for pictures, sounds and its page: their torch would take the place of this one.
        subprocess.run([*pip, "--no-deps", "llamafactory"], check=True)
        subprocess.run([*pip, *LLAMAFACTORY_NEEDS], check=True)
    return str(python)


def measure(side: str, python: str, job: dict[str, Any]) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as output:
        environment = {**os.environ, "LUNHENG_DATA": output, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
        done = subprocess.run(
            [python, str(HERE / "tuning_sides" / f"{side}_side.py"), json.dumps({**job, "output": f"{output}/run"})],
            capture_output=True,
            text=True,
            env=environment,
            timeout=1800,
        )
    lines = [line for line in done.stdout.splitlines() if line.startswith("MEASURED ")]
    if not lines:
        raise SystemExit(f"{side} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    found: dict[str, float] = json.loads(lines[-1].removeprefix("MEASURED "))
    return found


def version_of(python: str, packages: list[str]) -> str:
    code = f"from importlib.metadata import version; print(', '.join(f'{{p}} {{version(p)}}' for p in {packages!r}))"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/llamafactory_demos/alpaca_en_demo.json"))
    parser.add_argument("--rows", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--sides", default="lunheng,trl,llamafactory")
    parser.add_argument(
        "--python", action="append", default=[], help="SIDE=INTERPRETER where one is installed already."
    )
    given = parser.parse_args()
    from transformers import AutoTokenizer

    folder = base_folder(MODEL)
    pythons = dict(text.split("=", 1) for text in given.python)
    chosen = given.sides.split(",")
    found: dict[str, list[dict[str, float]]] = {side: [] for side in chosen}
    with tempfile.TemporaryDirectory() as work:
        rows = rows_of(given.data, given.rows, AutoTokenizer.from_pretrained(folder))
        data, tokens = Path(work) / "bench.jsonl", sum(row.pop("tokens") for row in rows)
        data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        job = {
            "model": folder,
            "data": str(data),
            "batch": BATCH,
            "window": WINDOW,
            "rank": RANK,
            "learning_rate": RATE,
        }
        for number in range(given.rounds):
            for side in chosen:
                measured = measure(side, python_of(side, pythons), job)
                found[side].append(measured)
                print(f"round {number + 1}, {side}: {json.dumps(measured)}", flush=True)
        digest = file_digest(data)
    best = {
        side: {
            "speed": tokens / min(m["wall"] for m in rounds),
            "work": tokens / min(m["processor"] for m in rounds),
            "peak": min(m["peak"] for m in rounds) / 2**30,
            "last": rounds[-1]["last"],
        }
        for side, rounds in found.items()
    }
    ours = best["lunheng"]
    lines = [
        [
            SIDES[side],
            f"{b['speed']:.0f} ({ours['speed'] / b['speed']:.2f})",
            f"{b['work']:.0f} ({ours['work'] / b['work']:.2f})",
            f"{b['peak']:.2f} ({b['peak'] / ours['peak']:.2f})",
            f"{b['last']:.3f}",
        ]
        for side, b in best.items()
    ]
    stacks = [
        f"- {SIDES[side]}: "
        + version_of(
            python_of(side, pythons),
            ["torch", "transformers", "trl", "peft", *(["llamafactory"] if side == "llamafactory" else [])],
        )
        for side in chosen
    ]
    write_part(
        "tuning_peers",
        f"""
## Fine-tuning: speed and memory beside plain TRL and LLaMA-Factory

LoRA r={RANK} over all linear layers of {MODEL}, float32, batch {BATCH}, window {WINDOW}, one epoch over {len(rows)}
examples ({tokens:,} tokens without padding), `OMP_NUM_THREADS={os.environ.get("OMP_NUM_THREADS", "1")}`; each side's best
of {given.rounds} rounds. In brackets: ours over theirs, turned so that more than 1 means that we are ahead.

- Machine: {machine()}
- Date: {date.today()}
{chr(10).join(stacks)}
- Data: {given.data.name}, the examples that fit whole, {digest}

{table(["", "tokens/s", "tokens per processor second", "peak memory, GiB", "last loss"], lines)}
""",
    )


if __name__ == "__main__":
    main()
