"""What makes a file count as unchanged: its size and times, and its hash where these have changed."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from lunheng import KnowledgeBase, Settings
from lunheng.ingest import pipeline
from lunheng.ingest.files import expand
from lunheng.parsing import file_state, hash_file
from lunheng.testing.fakes import FakeEmbedder

LONG_AGO = time.time_ns() - 10**12


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files made a moment ago count as settled, as if the test had waited."""
    monkeypatch.setattr("lunheng.parsing.hashing.SETTLED_SECONDS", 0.0)


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were hashed by ingest."""
    seen: list[str] = []

    def note(path: Path) -> str:
        seen.append(path.name)
        return hash_file(path)

    monkeypatch.setattr(pipeline, "hash_file", note)
    return seen


def test_state_follows_bytes_times_and_sidecar(tmp_path: Path, settled: None) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one")
    states = [file_state(path)]
    path.write_text("two")
    states.append(file_state(path))
    os.utime(path, ns=(LONG_AGO, LONG_AGO))
    states.append(file_state(path))
    (tmp_path / "a.txt.meta.json").write_text("{}")
    states.append(file_state(path))
    (tmp_path / "b.txt").write_text("two")
    (tmp_path / "b.txt").replace(path)
    states.append(file_state(path))
    assert None not in states and len(set(states)) == len(states)
    assert file_state(path) == states[-1]


def test_what_changed_a_moment_ago_has_no_state(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one")
    assert file_state(path) is None
    os.utime(path, ns=(LONG_AGO, LONG_AGO))
    assert file_state(path) is None, "setting the time back is a change too"


def test_only_files_that_were_touched_are_hashed(tmp_path: Path, settled: None, hashed: list[str]) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.txt").write_text("The office opens at 08:30.")
    (folder / "b.md").write_text("# 规定\n\n备份保留 35 天。", encoding="utf-8")
    with KnowledgeBase.open(tmp_path / "kb", Settings(), embedder=FakeEmbedder()) as kb:
        assert kb.sync(folder).counts == {"added": 2}
        hashed.clear()
        assert kb.sync(folder).counts == {"unchanged": 2}
        assert hashed == []
        os.utime(folder / "a.txt", ns=(LONG_AGO, LONG_AGO))
        assert kb.sync(folder).counts == {"unchanged": 2}
        assert hashed == ["a.txt"]
        assert kb.sync(folder).counts == {"unchanged": 2}
        assert hashed == ["a.txt"], "its new state was noted"
        (folder / "a.txt").write_text("The office opens at 09:30.")
        (folder / "b.md.meta.json").write_text('{"author": "王芳"}', encoding="utf-8")
        assert kb.sync(folder).counts == {"updated": 2}
        assert kb.search("office", k=1)[0].chunk.text.endswith("09:30.")
        assert kb.add(folder, acl=["group:staff"]).counts == {"updated": 2}, "other settings, same state"


def test_a_folder_is_walked_in_order_without_what_is_hidden(tmp_path: Path) -> None:
    kb = tmp_path / "docs" / "kb"
    for name in (
        "b.txt",
        "a.txt",
        "a.txt.meta.json",
        ".hidden",
        "~$b.docx",
        "sub/c.txt",
        "sub/.git/d",
        "kb/catalog.db",
    ):
        path = tmp_path / "docs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    (tmp_path / "docs" / "loop").symlink_to(tmp_path / "docs")
    (tmp_path / "docs" / "z.txt").symlink_to(tmp_path / "docs" / "a.txt")
    found = [str(path.relative_to(tmp_path)) for path, named in expand([tmp_path / "docs" / "sub" / ".."], kb)]
    assert found == ["docs/a.txt", "docs/b.txt", "docs/z.txt", "docs/sub/c.txt"]
    assert [named for _, named in expand([tmp_path / "docs" / "a.txt", tmp_path / "docs"], kb)] == [True, *[False] * 3]
