"""The harness over our ports: its numbers are ours."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from lunheng.errors import DataError
from lunheng.evaluation.model import TaskOptions, run_task
from lunheng.testing.fakes import FakeLLM
from lunheng.types import Likelihood

pytest.importorskip("lm_eval", reason="needs the extra 'lm-eval'")


class Known(FakeLLM):
    """Likes one continuation, and reads every token at one half."""

    def encode(self, text: str) -> list[int]:
        return [ord(c) for c in text]

    def log_likelihoods(self, pairs: list[tuple[str, str]]) -> list[Likelihood]:
        return [Likelihood(math.log(0.9 if c.strip() in ("北京", "Paris") else 0.1), 1, True) for _, c in pairs]

    def token_log_probabilities(self, sequences: list[list[int]]) -> list[object]:
        import numpy as np

        return [np.log(np.full(len(s), 0.5)) for s in sequences]


CHOICE = """
task: capitals
dataset_path: json
dataset_kwargs:
  data_files: {test: capitals.jsonl}
test_split: test
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: "{{choices}}"
doc_to_target: "{{answer}}"
metric_list: [{metric: acc}, {metric: acc_norm}]
"""
WRITTEN = """
task: sums
dataset_path: json
dataset_kwargs:
  data_files: {test: capitals.jsonl}
test_split: test
output_type: generate_until
generation_kwargs: {until: ["\\n"], max_gen_toks: 8}
doc_to_text: "{{question}}"
doc_to_target: "{{choices[answer]}}"
metric_list: [{metric: exact_match}]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    rows = [
        {"question": "中国的首都？", "choices": ["上海", "北京"], "answer": 1},
        {"question": "Capital of France?", "choices": ["Paris", "Rome"], "answer": 0},
        {"question": "Capital of Italy?", "choices": ["Paris", "Rome"], "answer": 1},
    ]
    (tmp_path / "capitals.jsonl").write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), "utf-8")
    (tmp_path / "choice.yaml").write_text(CHOICE)
    (tmp_path / "written.yaml").write_text(WRITTEN)
    return tmp_path


@pytest.mark.slow
def test_a_local_task_of_the_harness(folder: Path) -> None:
    found = run_task("lm-eval", Known(), "m", TaskOptions(data=folder / "choice.yaml"))
    assert found.metric("acc").interval.mean == pytest.approx(2 / 3) and len(found.records) == 3
    model = Known(["北京\n以及更多"])
    written = run_task("lm-eval", model, "m", TaskOptions(data=folder / "written.yaml", limit=2))
    assert written.metric("exact_match").interval.mean == 0.5 and len(written.records) == 2
    assert model.calls[0][0].content == "中国的首都？"


def test_files_that_are_no_task(folder: Path) -> None:
    with pytest.raises(DataError, match="no task file"):
        run_task("lm-eval", Known(), "m", TaskOptions(data=folder / "gone.yaml"))
    (folder / "bad.yaml").write_text("task: x\ndataset_path: json\n")
    with pytest.raises(DataError, match="data_files"):
        run_task("lm-eval", Known(), "m", TaskOptions(data=folder / "bad.yaml"))
    (folder / "worse.yaml").write_text("task: [")
    with pytest.raises(DataError, match="lm-eval cannot run it"):
        run_task("lm-eval", Known(), "m", TaskOptions(data=folder / "worse.yaml"))
