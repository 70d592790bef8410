"""Tokenised rows lie on the disk while a run trains: memory does not grow with them, and nothing is left behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="needs the extra 'tune'")

from lunheng.errors import DataError
from lunheng.testing.tiny_model import make_byte_tokenizer, make_tiny_model, write_jsonl
from lunheng.tuning.llm.sft import COLUMNS, as_row
from lunheng.tuning.on_disk import write_rows
from lunheng.tuning.preflight import prepare
from lunheng.tuning.recipes import Recipe, make_recipe
from lunheng.tuning.run import begin

MIB = 2**20
MEASURE = """
import sys
from lunheng.tuning.llm.sft import COLUMNS, as_row
from lunheng.tuning.on_disk import write_rows
from lunheng.tuning.planning.peak import peak_memory
from lunheng.tuning.preflight import prepare
from lunheng.tuning.recipes import load_recipe
from lunheng.tuning.run import begin

run = begin(load_recipe(sys.argv[1]))
tokenizer = run.tokenizer()
run.settle(1024)  # what it imports, and the rehearsal, are of any run
write_rows(map(as_row, prepare(tokenizer, run.training[:9], 1024, "refuse").rows), COLUMNS, run.tokens / "warm.arrow")
before = peak_memory()
with run.rows(tokenizer, prepare, COLUMNS, as_row) as (training, held):
    print(len(training), sum(len(row["input_ids"]) for row in training), peak_memory() - before)
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    words = make_byte_tokenizer(tmp_path_factory.mktemp("words"))
    return str(make_tiny_model(tmp_path_factory.mktemp("base"), words))


def recipe(base: str, data: Path, output: Path, **changes: Any) -> Recipe:
    plain = {"method": "sft", "model": {"name": base}, "data": {"train": str(data), "window": 1024}}
    return make_recipe({**plain, "output": str(output)}, **changes)


def rows(count: int, size: int = 2) -> list[dict[str, object]]:
    return [{"prompt": f"第 {n} question", "completion": f"{n} 答 answer " * size} for n in range(count)]


def test_memory_does_not_grow_with_the_tokens(base: str, tmp_path: Path) -> None:
    from lunheng.tuning.recipes import write_recipe

    data = write_jsonl(tmp_path / "a.jsonl", rows(3000, 40))
    write_recipe(recipe(base, data, tmp_path / "out"), tmp_path / "recipe.toml")
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path / "recipe.toml")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    count, tokens, grown = map(int, done.stdout.split())
    assert count > 2500 and tokens > 1_800_000
    # As Python's numbers and as int64 in memory they took 100 MiB.
    assert grown < 55 * MIB, grown / MIB


def test_rows_are_the_same_and_gone_afterwards(base: str, tmp_path: Path) -> None:
    data = write_jsonl(tmp_path / "a.jsonl", rows(2500))
    run = begin(recipe(base, data, tmp_path / "out", **{"data.validation_share": 0.1}))
    tokenizer, training, held = run.tokenizer(), run.training, run.held
    with run.rows(tokenizer, prepare, COLUMNS, as_row) as (learnt, measured):
        for made, examples in ((learnt, training), (measured, held)):
            whole = prepare(tokenizer, examples, 1024, "refuse")  # type: ignore[arg-type]
            assert [row["input_ids"] for row in made] == [list(row.input_ids) for row in whole.rows]
            assert [row["labels"] for row in made] == [list(row.labels) for row in whole.rows]
        assert run.kept == (len(training), len(held)) and run.tokens.is_dir()
    assert not run.tokens.exists() and not run.training


def test_nothing_is_left_where_it_fails(base: str, tmp_path: Path) -> None:
    data = write_jsonl(tmp_path / "a.jsonl", rows(3, 500))
    run = begin(recipe(base, data, tmp_path / "out", **{"data.too_long": "drop", "data.validation_share": 0.0}))
    with (
        pytest.raises(DataError, match=r"data.train: no example is left of 3; the first: .*a.jsonl:1: .*left out"),
        run.rows(run.tokenizer(), prepare, COLUMNS, as_row),
    ):
        pass
    assert not run.tokens.exists()
    assert write_rows(iter(()), COLUMNS, tmp_path / "none.arrow") is None
    assert json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))["method"] == "sft"
