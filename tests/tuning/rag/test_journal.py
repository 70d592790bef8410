"""The journal: what an interrupted job had done is kept, once, and nothing is written twice or half."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lunheng.errors import DataError
from lunheng.tuning.rag.journal import Journal, Outcome, Rejected, in_seeded_order


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_an_interrupted_job_goes_on(tmp_path: Path) -> None:
    output = tmp_path / "data.jsonl"
    with pytest.raises(KeyboardInterrupt), Journal(output, {"k": 1}) as journal:
        journal.add("a", Outcome([{"text": "甲"}], [Rejected("too long", {"text": "long"})], {"seen": 2}))
        raise KeyboardInterrupt
    assert lines(output) == [{"text": "甲"}]
    with journal.path.open("a", encoding="utf-8") as file:
        file.write('{"item": "b", "rows": [{"te')  # a kill in the middle of a line
    with Journal(output, {"k": 1}) as again:
        assert again.done == {"a"} and again.resumed == 1
        again.add("b", Outcome([{"text": "乙"}], counts={"seen": 1}))
    written = again.written()
    assert lines(output) == [{"text": "甲"}, {"text": "乙"}]
    assert lines(Path(written.rejected_file)) == [{"reason": "too long", "text": "long"}]
    assert (written.items, written.rows, written.rejected, written.counts) == (2, 2, {"too long": 1}, {"seen": 3})


def test_rows_of_what_is_gone_are_gone(tmp_path: Path) -> None:
    output = tmp_path / "data.jsonl"
    with Journal(output, {}) as journal:
        journal.add("old", Outcome([{"text": "1"}]))
        journal.add("kept", Outcome([{"text": "2"}]))
    with Journal(output, {}, still_there=lambda item: item == "kept") as again:
        assert again.done == {"kept"}
    assert again.written().stale == 1 and lines(output) == [{"text": "2"}]


def test_other_settings_and_other_files_are_refused(tmp_path: Path) -> None:
    with Journal(tmp_path / "a.jsonl", {"k": 5}):
        pass
    with pytest.raises(DataError, match="k was 5 and is now 10"):
        Journal(tmp_path / "a.jsonl", {"k": 10})
    mine = tmp_path / "mine.jsonl"
    mine.write_text("precious\n", encoding="utf-8")
    with pytest.raises(DataError, match="was not begun by this command"):
        Journal(mine, {})
    assert mine.read_text(encoding="utf-8") == "precious\n"


def test_a_seeded_order_keeps_when_items_are_added() -> None:
    some, more = [f"c{i}" for i in range(20)], [f"c{i}" for i in range(40)]
    longer = in_seeded_order(more, 7)
    assert [c for c in longer if c in some] == in_seeded_order(some, 7) != in_seeded_order(some, 8)
