"""``lunheng models trained``: every run on this machine, the newest first, and those that are gone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from typer.testing import CliRunner

from lunheng.cli.main import app
from lunheng.tuning.manifest import Manifest, write_manifest
from lunheng.tuning.registry import register


def command(*options: str) -> str:
    result = CliRunner().invoke(app, ["models", "trained", *options])
    assert result.exit_code == 0, result.output
    return result.stdout


def made(folder: Path, name: str, started: str, lineage: tuple[str, ...] = ()) -> Path:
    manifest = Manifest(
        id=name,
        method="sft",
        mode="lora",
        base="基座 base",
        base_folder="/models/base",
        recipe={"method": "sft"},
        data={"train": "0123456789abcdef" * 4},
        seed=0,
        status="done",
        started=started,
        ended=started,
        examples={"trained": 2, "held_out": 1, "left_out": 0},
        before={"loss": 2.5},
        metrics={"loss": 1.25, "mean_token_accuracy": 0.5},
        lineage=lineage,
    )
    output = folder / name
    write_manifest(manifest, output)
    register(output)
    return output


def test_the_list(tmp_path: Path) -> None:
    assert "nothing was trained here yet" in command() and json.loads(command("--json")) == []
    older = made(tmp_path, "老的-run", "2026-01-01T00:00:00+00:00")
    newer = made(tmp_path, "newer-run", "2026-02-01T00:00:00+00:00", ("老的-run",))
    text = command()
    assert text.index("newer-run") < text.index("老的-run sft of 基座 base, lora: done, 2026-01-01T00:00 UTC")
    assert "loss 2.5 → 1.25" in text and "mean token accuracy 0.5" in text and "came out of 老的-run" in text
    assert "2 examples, data 0123456789ab" in text

    listed = json.loads(command("--json"))
    assert [run["output"] for run in listed] == [str(newer), str(older)]
    assert listed[0]["manifest"] == json.loads((newer / "manifest.json").read_text("utf-8"))

    shutil.rmtree(newer)
    gone = json.loads(command("--json"))
    assert gone[-1] == {"output": str(newer), "manifest": None} and f"gone {newer}" in command()
    assert str(newer) not in command("--forget-gone") and len(json.loads(command("--json"))) == 1
