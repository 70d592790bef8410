"""Kills, full disks and rivals: what is stored stays sound, and the next run goes on."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lunheng import KnowledgeBase, Settings
from lunheng.testing.fakes import FakeEmbedder

SYNC = """
import json, sys
from lunheng import KnowledgeBase, Settings
from lunheng.testing.fakes import FakeEmbedder
folder, kb = sys.argv[1], sys.argv[2]
limit = int(sys.argv[3]) if len(sys.argv) > 3 else 0
base = KnowledgeBase.open(kb, Settings(models={"llm": "none"}, storage={"vectors": "qdrant"}), embedder=FakeEmbedder())
if limit:
    import resource, signal
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
print("ready", flush=True)
report = base.sync(folder)
print(json.dumps(report.counts), flush=True)
sys.exit(1 if report.failed else 0)
"""
SETTINGS = Settings(models={"llm": "none"}, storage={"vectors": "qdrant"})  # type: ignore[arg-type]
FILES = 24


def write_version(folder: Path, version: int) -> None:
    """Every file anew, each of several chunks that name their version."""
    folder.mkdir(exist_ok=True)
    for number in range(FILES):
        lines = [
            f"第{i}条 file {number} of version {version} says that room {i} holds {i * 7} lamps." for i in range(60)
        ]
        (folder / f"{number}.md").write_text(f"# File {number}\n\n" + "\n\n".join(lines), encoding="utf-8")


def start(folder: Path, kb: Path, *more: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", SYNC, str(folder), str(kb), *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "ready", process.communicate()[1]
    return process


def contents(kb: KnowledgeBase) -> set[tuple[str, str, str]]:
    """What is stored, whatever the order in which it was."""
    return {
        (document.source, hit.chunk.id, hit.chunk.full_text)
        for document in kb.documents()
        for hit in kb.search("lamps", k=1000, mode="dense", filter=f'document_id == "{document.id}"')
    }


@pytest.mark.slow
def test_kill_at_random_moments(tmp_path: Path) -> None:
    folder, home = tmp_path / "docs", tmp_path / "kb"
    chance = random.Random(20)
    write_version(folder, 0)
    assert start(folder, home).wait() == 0
    write_version(folder, -1)
    process = start(folder, home)
    begun = time.monotonic()
    assert process.wait() == 0
    whole = time.monotonic() - begun
    cut_off, version = 0, 0
    while cut_off < 20:
        version += 1
        assert version <= 60, f"only {cut_off} runs were cut off"
        write_version(folder, version)
        process = start(folder, home)
        begun = time.monotonic()
        time.sleep(chance.random() * whole)
        process.send_signal(signal.SIGKILL)
        if process.wait() == -signal.SIGKILL:
            cut_off += 1
        else:
            whole = min(whole, time.monotonic() - begun)
        with KnowledgeBase.open(home, SETTINGS, embedder=FakeEmbedder()) as kb:
            report = kb.check()
            assert report.sound, report.findings
            assert report.documents == FILES
            for document in kb.documents():
                text = kb.document(document.id).text
                versions = {part.split(" ")[0] for part in text.split("of version ")[1:]}
                assert len(versions) == 1, f"{document.source} mixes versions {versions}"
    with KnowledgeBase.open(home, SETTINGS, embedder=FakeEmbedder()) as kb:
        kb.sync(folder)
        mended = contents(kb)
        assert kb.check().sound
        assert kb.sync(folder).counts == {"unchanged": FILES}
    with KnowledgeBase.open(tmp_path / "fresh", SETTINGS, embedder=FakeEmbedder()) as kb:
        kb.sync(folder)
        assert contents(kb) == mended


def test_a_full_disk_is_an_error_and_loses_nothing(tmp_path: Path) -> None:
    folder, home = tmp_path / "docs", tmp_path / "kb"
    write_version(folder, 0)
    assert start(folder, home).wait() == 0
    write_version(folder, 1)
    limit = (home / "catalog.db").stat().st_size // 4
    process = start(folder, home, str(limit))
    out, err = process.communicate()
    assert process.returncode == 1
    assert "full" in out + err or "failed" in out + err
    with KnowledgeBase.open(home, SETTINGS, embedder=FakeEmbedder()) as kb:
        assert kb.check().sound
        assert len(kb.documents()) == FILES
        assert kb.sync(folder).failed == ()
        assert kb.sync(folder).counts == {"unchanged": FILES}


def test_two_processes_write_one_after_the_other(tmp_path: Path) -> None:
    one, two, home = tmp_path / "one", tmp_path / "two", tmp_path / "kb"
    write_version(one, 1)
    write_version(two, 2)
    processes = [start(one, home), start(two, home)]
    for process in processes:
        out, err = process.communicate()
        assert process.returncode == 0, err
        assert json.loads(out) == {"added": FILES}
    with KnowledgeBase.open(home, SETTINGS, embedder=FakeEmbedder()) as kb:
        assert len(kb.documents()) == 2 * FILES
        assert kb.check().sound


def test_a_reader_beside_another_process_that_holds_the_index(tmp_path: Path) -> None:
    folder, home = tmp_path / "docs", tmp_path / "kb"
    write_version(folder, 0)
    with KnowledgeBase.open(home, SETTINGS, embedder=FakeEmbedder()) as writer:
        writer.sync(folder)
        script = (
            "import sys\nfrom lunheng import KnowledgeBase, Settings\nfrom lunheng.testing.fakes import FakeEmbedder\n"
            "kb = KnowledgeBase.open(sys.argv[1], Settings(models={'llm': 'none'}, storage={'vectors': 'qdrant'}),"
            " embedder=FakeEmbedder())\n"
            "print(len(kb.search('lamps in room 7', k=5)), kb.vector_index)\n"
        )
        done = subprocess.run([sys.executable, "-c", script, str(home)], capture_output=True, text=True, check=True)
        assert done.stdout.split() == ["5", "exact"]
