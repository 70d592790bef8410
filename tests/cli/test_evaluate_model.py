"""``lunheng eval model`` on a real model: a few items, a baseline, the table, the JSON, what it says of mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lunheng.cli.main import app
from lunheng.errors import DataError, LunhengError
from lunheng.testing.real_models import TINY_LLM, model_folder

CHOICE = "question,A,B,C,D,answer\nThe capital of France is,Rome,Paris,Oslo,Cairo,B\nThe opposite of hot is,cold,warm,red,dog,A\n"


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["eval", "model", *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def gguf() -> str:
    return str(model_folder(TINY_LLM) / "model.gguf")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "choice.csv"
    path.write_text(CHOICE, encoding="utf-8")
    return path


@pytest.mark.slow
def test_a_real_model_against_itself(data: Path, gguf: str, tmp_path: Path) -> None:
    saved = tmp_path / "items.jsonl"
    printed = run(TINY_LLM, "--task", "choice", "--data", str(data), "--baseline", gguf, "--save", str(saved), "--json")
    plain = json.loads(printed)
    assert set(plain["metrics"]) == {"accuracy", "accuracy_text", "accuracy_normalised"} and plain["baseline"] == gguf
    one = plain["metrics"]["accuracy_text"]
    assert one["items"] == 2 and one["baseline"]["difference"] == 0 and one["baseline"]["p"] == 1
    assert one["baseline"]["verdict"] == "no difference shown" and one["value"] in (0.5, 1.0), "it knows Paris"
    items = [json.loads(line) for line in saved.read_text("utf-8").splitlines()]
    assert [item["right"] for item in items] == ["B", "A"] and items[1]["question"] == "The opposite of hot is"
    assert items[0]["chosen_text"] == "B"


def test_a_table_that_is_not_cut_short(tmp_path: Path, gguf: str) -> None:
    votes = tmp_path / "votes.jsonl"
    votes.write_text('{"winner": "model"}\n' * 9 + '{"winner": "tie"}\n')
    printed = run(gguf, "--task", "pairwise", "--votes", str(votes))
    assert "win_rate" in printed and "0.9500" in printed and "against chance" in printed and "…" not in printed


def test_mistakes_are_named(data: Path, gguf: str, tmp_path: Path) -> None:
    with pytest.raises(LunhengError, match="'squad': is not one of"):
        run(gguf, "--task", "squad")
    with pytest.raises(LunhengError, match="needs --data"):
        run(gguf, "--task", "gsm8k")
    with pytest.raises(LunhengError, match="no such folder or file"):
        run(str(tmp_path / "gone.gguf"), "--task", "gsm8k", "--data", str(data))
    (tmp_path / "schema.json").write_text("[1]")
    with pytest.raises(DataError, match="JSON Schema"):
        run(gguf, "--task", "json", "--data", str(data), "--schema", str(tmp_path / "schema.json"))


@pytest.mark.slow
def test_a_folder_and_its_gguf_agree(data: Path, gguf: str) -> None:
    pytest.importorskip("trl", reason="needs the extra 'tune'")
    from lunheng.models.llms.hugging_face import HuggingFaceLLM
    from lunheng.models.llms.llamacpp import LlamaCppLLM
    from lunheng.tuning.bases import base_folder

    pairs = [("The capital of France is", " Paris"), ("中国的首都是", "北京")]
    torch, llamacpp = HuggingFaceLLM(base_folder(TINY_LLM)), LlamaCppLLM(Path(gguf), window=128)
    for one, other in zip(torch.log_likelihoods(pairs), llamacpp.log_likelihoods(pairs), strict=True):
        assert one.tokens == other.tokens and one.greedy == other.greedy
        # llama.cpp multiplies 4-bit weights with 8-bit activations.
        assert one.log_probability == pytest.approx(other.log_probability, abs=0.15 * one.tokens)
