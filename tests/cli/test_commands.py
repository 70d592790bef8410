"""The command line on the example handbook: what it prints, its JSON shapes, its exit codes."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sqlite3
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from lunheng.cli import common
from lunheng.cli.main import app
from lunheng.errors import LunhengError

ROOT = Path(__file__).resolve().parents[2]
HANDBOOK = ROOT / "examples" / "handbook"
SHARED_DATA = ROOT.parent / "shared" / "data"
CITATION = {"n", "document", "document_id", "chunk_id", "page", "heading_path", "quote", "start", "end", "supported"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("cli")
    os.environ["LUNHENG_MODELS__LLM"] = "none"
    yield folder / "kb"
    del os.environ["LUNHENG_MODELS__LLM"]


def run(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.stdout


def failure(*arguments: str) -> str:
    """The message of a command that is refused."""
    with pytest.raises(LunhengError) as caught:
        CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    return str(caught.value)


def documented(section: str) -> Any:
    """The JSON example of a section of the documentation, the same in both languages; tests/docs compares those that
    a documented command prints."""
    found = []
    for page in ("json.md", "json.zh.md"):
        text = (ROOT / "docs" / "reference" / page).read_text(encoding="utf-8")
        found.append(json.loads(text.split(f"{{ #{section} }}")[1].split("```json")[1].split("```")[0]))
    assert found[0] == found[1]
    return found[0]


def as_json(*arguments: str, code: int = 0) -> Any:
    return json.loads(run(*arguments, "--json", code=code))


def test_sync_reports_what_became_of_each_file(home: Path) -> None:
    first = as_json("sync", str(HANDBOOK), "--kb", str(home))
    assert first["counts"] == {"added": 11}
    assert {"source", "status", "reason", "chunks", "warnings", "chunking"} == set(first["items"][0])
    assert all(item["chunks"] > 0 for item in first["items"])
    again = as_json("add", str(HANDBOOK), "--kb", str(home))
    assert again["counts"] == {"unchanged": 11} and {item["chunks"] for item in again["items"]} == {None}


def test_list_and_status(home: Path) -> None:
    listed = as_json("list", "--kb", str(home))
    assert len(listed) == 11
    assert {"id", "source", "title", "source_type", "language", "chunks", "version", "acl"} <= set(listed[0])
    assert len(as_json("list", "--kb", str(home), "--filter", 'source_type == "docx"')) == 2
    status = as_json("status", "--kb", str(home))
    assert status["documents"] == 11 and status["chunks"] > 50 and status["embedder"] == "multilingual-e5-small"
    shown = run("status", "--kb", str(home))
    assert f"sync {HANDBOOK}: done, 11 added (" in shown and "add 11 files: done, 11 unchanged (" in shown
    assert "{" not in shown
    assert "报销制度-2025-已废止.txt" in run("list", "--kb", str(home)), "a name is never cut"


def test_search(home: Path) -> None:
    found = as_json("search", "陪产假", "-k", "3", "--kb", str(home))
    assert set(found) == {"query", "confidence", "hits", "warnings"} and len(found["hits"]) == 3
    assert {"chunk", "score", "kind", "scores", "ranks"} == set(found["hits"][0])
    assert "20 天" in "".join(h["chunk"]["text"] for h in found["hits"])
    shown = run("search", "when does the paternity leave have to be taken", "-k", "3", "--kb", str(home))
    assert "员工手册.pdf p. 2 › 第三章 休假 › 3.3 其他假期" in shown and "陪产假：20 天" in shown
    assert "the reranker's; higher is better" in shown
    assert "cosine" in run("search", "陪产假", "-k", "3", "--kb", str(home), "--mode", "dense")


def test_ask_has_the_documented_shape(home: Path) -> None:
    answer = as_json("ask", "陪产假有几天？", "--kb", str(home))
    assert {"answer", "citations", "verdict", "confidence", "trace"} <= set(answer)
    assert answer["citations"] and set(answer["citations"][0]) == CITATION
    assert answer["verdict"] in ("supported", "partly", "unsupported") and 0 <= answer["confidence"] <= 1
    assert {"name", "seconds", "given", "result", "warnings"} == set(answer["trace"]["stages"][0])
    assert answer["answered"] and all(c["supported"] != "unsupported" for c in answer["citations"])
    shown = run("ask", "陪产假有几天？", "--kb", str(home), "--times")
    assert "Verdict" in shown and "Sources" in shown and "20 天" in shown and "Time" in shown
    assert shown.count("（以下为资料原文摘录") == 1, "what no model wrote is shown once"


def test_an_unanswered_question_cites_nothing_as_support(home: Path) -> None:
    answer = as_json("ask", "What is the CEO's shoe size?", "--kb", str(home))
    assert answer["answered"] is False and answer["verdict"] == "unsupported"
    assert answer["citations"] and {c["supported"] for c in answer["citations"]} == {"unsupported"}
    assert "Closest passages" in run("ask", "What is the CEO's shoe size?", "--kb", str(home))


def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What a person would see of standard error."""
    seen = io.StringIO()
    monkeypatch.setattr(common, "err", Console(file=seen, force_terminal=True, width=100))
    return seen


def test_a_person_who_waits_is_told_what_is_done(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = terminal(monkeypatch)
    shown = run("ask", "陪产假有几天？", "--kb", str(home))
    assert "loading the models…" in seen.getvalue()
    assert "…" not in shown.split("Checked answer")[0], "the status is not part of the result"


@pytest.mark.parametrize("command", ["ask", "search"])
def test_json_is_silent_while_it_works(home: Path, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = terminal(monkeypatch)
    as_json(command, "陪产假有几天？", "--kb", str(home))
    assert seen.getvalue() == ""


def test_a_pipe_gets_no_status(home: Path) -> None:
    result = CliRunner().invoke(app, ["ask", "陪产假有几天？", "--kb", str(home)])
    assert result.stderr == ""


def test_chat_answers_and_goes_on_after_an_error(home: Path) -> None:
    result = CliRunner().invoke(app, ["chat", "--kb", str(home)], input="陪产假有几天？\n\nWho is on call?\n")
    assert result.exit_code == 0 and result.output.count("Verdict") == 2
    wrong = CliRunner().invoke(app, ["chat", "--kb", str(home), "--filter", "langage == 1"], input="a\nb\n")
    assert wrong.exit_code == 0 and wrong.stderr.count("did you mean 'language'?") == 2


def test_a_misspelt_field_is_an_error_and_an_unknown_key_a_note(home: Path) -> None:
    for command in (["search", "年假"], ["ask", "年假？"], ["list"]):
        assert "did you mean 'language'?" in failure(*command, "--kb", str(home), "--filter", 'langage == "zh"')
    unknown = ("--kb", str(home), "--filter", 'room == "4"')
    note = "filter: no document has the field 'room'"
    found = as_json("search", "年假", *unknown)
    assert found["hits"] == [] and note in found["warnings"][0]
    assert any(note in w for s in as_json("ask", "年假？", *unknown)["trace"]["stages"] for w in s["warnings"])
    for command in (["list"], ["list", "--json"], ["search", "年假"]):
        shown = CliRunner().invoke(app, [*command, *unknown])
        assert shown.exit_code == 0 and note in shown.stderr
    assert as_json("list", "--kb", str(home), "--filter", 'owner == "Tomas Brandvold"')


def test_parse_and_chunk() -> None:
    file = str(HANDBOOK / "安全密钥轮换.md")
    document = as_json("parse", file)
    assert document["source_type"] == "md" and document["language"] == "zh"
    assert list(document) == ["title", "source_type", "language", "metadata", "warnings", "elements"]
    text = "\n\n".join(element["text"] for element in document["elements"])
    cut = as_json("chunk", file, "--size", "100")
    assert list(cut) == ["strategy", "reason", "warnings", "chunks"] and cut["strategy"] == "structure"
    assert "chunking.size is 100" in cut["reason"]
    chunks = cut["chunks"]
    assert all(text[c["start"] : c["end"]] == c["text"] for c in chunks)
    assert max(c["metadata"]["token_count"] for c in chunks) <= 100


def test_chunk_shows_boundaries_and_compares(tmp_path: Path) -> None:
    law = tmp_path / "规定.txt"
    law.write_text(
        "\n\n".join(f"第{n}条　本条规定了第 {n} 件事，见第一条。" for n in "一二三四五六七"), encoding="utf-8"
    )
    shown = run("chunk", str(law), "--show")
    assert shown.count("tokens") == 8 and "第七条" in shown  # seven chunks, and the cap in the reason
    assert "7 chunks by legal: a law, contract or regulation: 7 of 条 in order, 第一条 to 第七条" in shown
    assert "第三条" in run("chunk", str(law), "--strategy", "fixed", "--show", "--size", "30")
    rows = {row["strategy"]: row for row in as_json("chunk", str(law), "--compare")}
    assert rows["auto"]["chosen"] == "legal" and rows["auto"]["chunks"] == rows["legal"]["chunks"] == 7
    assert rows["fixed"]["chunks"] == 1 and rows["legal"]["sizes"] and rows["legal"]["seconds"] < 60
    table = run("chunk", str(law), "--compare")
    assert "auto → legal" in table and "median" in table and "│" in table
    assert CliRunner().invoke(app, ["chunk", str(law), "--compare", "--strategy", "qa"]).exit_code == 2


def test_check_backup_restore_rebuild(home: Path, tmp_path: Path) -> None:
    assert as_json("check", "--kb", str(home))["sound"]
    saved = tmp_path / "kb.zip"
    as_json("backup", str(saved), "--kb", str(home))
    as_json("backup", str(saved), "--kb", str(home))  # an earlier backup is replaced, and nothing else
    other = tmp_path / "thesis.docx"
    other.write_bytes(b"years of work")
    assert "is no Lunheng backup" in failure("backup", str(other), "--kb", str(home))
    assert other.read_bytes() == b"years of work"
    copy = tmp_path / "copy"
    as_json("restore", str(saved), "--kb", str(copy))
    assert as_json("check", "--kb", str(copy))["sound"]
    one, two = (as_json("search", "年假", "-k", "5", "--kb", str(k))["hits"] for k in (home, copy))
    assert [h["chunk"]["id"] for h in one] == [h["chunk"]["id"] for h in two]
    note = tmp_path / "later.md"
    note.write_text("# Later\n\nThis is not in the backup.", encoding="utf-8")
    as_json("add", str(note), "--kb", str(copy))
    as_json("restore", str(saved), "--kb", str(copy), "--force")
    assert as_json("check", "--kb", str(copy))["documents"] == 11
    assert set(as_json("rebuild", "--kb", str(copy))) == set(as_json("status", "--kb", str(copy)))
    with contextlib.closing(sqlite3.connect(copy / "catalog.db")) as damaged:
        damaged.execute("DELETE FROM vectors WHERE rowid = (SELECT min(rowid) FROM vectors)")
        damaged.commit()
    finding = as_json("check", "--kb", str(copy), code=1)["findings"][0]
    assert finding == {
        "what": "chunks without a vector",
        "count": 1,
        "repair": "lunheng check --repair",
        "repaired": False,
    }
    assert "chunks without a vector: 1, found, mend with: lunheng check --repair" in run(
        "check", "--kb", str(copy), code=1
    )
    assert as_json("check", "--kb", str(copy), "--repair")["sound"]


def test_remove(home: Path, tmp_path: Path) -> None:
    note = tmp_path / "note.md"
    note.write_text("# Note\n\nThe ferry leaves at 07:45.", encoding="utf-8")
    as_json("add", str(note), "--kb", str(home), "--meta", "room=4", "--acl", "group:crew")
    hidden = as_json("search", "ferry", "--kb", str(home), "--as", "bob")["hits"]
    shown = as_json("search", "ferry", "--kb", str(home), "--as", "bob", "--group", "crew")["hits"]
    assert all("ferry" not in h["chunk"]["text"] for h in hidden)
    assert any("ferry" in h["chunk"]["text"] for h in shown)
    assert as_json("remove", str(note), "--kb", str(home))["counts"] == {"removed": 1}
    assert all("ferry" not in h["chunk"]["text"] for h in as_json("search", "ferry", "--kb", str(home))["hits"])


def test_a_bad_file_makes_the_exit_code_one(tmp_path: Path) -> None:
    (tmp_path / "empty.md").touch()
    (tmp_path / "good.md").write_text("# Good\n\ntext", encoding="utf-8")
    report = as_json("add", str(tmp_path), "--kb", str(tmp_path / "kb"), code=1)
    assert report["counts"] == {"added": 1, "failed": 1}
    shown = CliRunner().invoke(app, ["sync", str(tmp_path), "--kb", str(tmp_path / "kb")])
    assert shown.exit_code == 1 and shown.stdout == "1 unchanged, 1 failed\n"
    assert shown.stderr.count("empty.md") == 1
    status = run("status", "--kb", str(tmp_path / "kb"))
    assert "1 document, 1 chunk, " in status and "done, 1 unchanged, 1 failed" in status
    assert "1 document, 1 chunk: sound" in run("check", "--kb", str(tmp_path / "kb"))


def test_what_does_not_exist_makes_no_knowledge_base(tmp_path: Path) -> None:
    for command in ("add", "sync"):
        message = failure(command, str(tmp_path / "nowhere"), "--kb", str(tmp_path / "kb"))
        assert "no such file or folder" in message
    assert not (tmp_path / "kb").exists()


def unwrapped(box: str) -> str:
    """What a message in a box says: a long path makes it break its lines elsewhere."""
    return " ".join(box.replace("│", " ").split())


def test_a_file_where_a_folder_belongs_and_the_other_way_round(tmp_path: Path) -> None:
    file = tmp_path / "file.md"
    file.write_text("# One", encoding="utf-8")
    assert "is a file" in failure("sync", str(tmp_path), "--kb", str(file))
    assert "lunheng add" in CliRunner().invoke(app, ["sync", str(file), "--kb", str(tmp_path / "kb")]).stderr
    made = CliRunner().invoke(app, ["backup", str(tmp_path), "--kb", str(tmp_path / "kb")])
    assert made.exit_code == 2 and "is a folder" in unwrapped(made.stderr)


def test_an_empty_question_is_refused_and_an_empty_knowledge_base_is_told(home: Path, tmp_path: Path) -> None:
    for command in ("ask", "search"):
        assert "is empty" in failure(command, " ", "--kb", str(home))
    (tmp_path / "docs").mkdir()
    run("sync", str(tmp_path / "docs"), "--kb", str(tmp_path / "kb"))
    assert "lunheng sync FOLDER" in run("search", "年假", "--kb", str(tmp_path / "kb"))


def test_a_group_without_a_user_is_refused(home: Path) -> None:
    assert CliRunner().invoke(app, ["search", "x", "--kb", str(home), "--group", "crew"]).exit_code == 2


def test_config_show() -> None:
    tomllib.loads(run("config", "show"))
    shown = as_json("config", "show")
    assert shown["retrieval"]["rrf_k"] == 60
    assert "[retrieval]" in run("config", "show")


@pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="needs the labelled sets in ../shared/data")
def test_eval_retrieval_prints_the_four_metrics() -> None:
    measured = as_json("eval", "retrieval", str(SHARED_DATA / "xquad_zh"), "--limit", "40")
    assert measured["queries"] == 40
    assert measured["ndcg@10"] > 0.9
    assert set(measured) == set(documented("eval-retrieval"))
    assert set(measured["confidence_95"]) == set(documented("eval-retrieval")["confidence_95"])


def test_eval_chunking_compares_strategies_with_fixed(tmp_path: Path) -> None:
    towns = {"Visby": ("ferry", "渡轮"), "Tromsø": ("museum", "博物馆")}
    passages = [
        {
            "id": f"{town}{i}",
            "title": town,
            "text": f"The {english} of number {i} opens at {i} o'clock. {chinese}{i}点开门。" * 3,
        }
        for town, (english, chinese) in towns.items()
        for i in range(4)
    ]
    queries = [{"id": p["id"], "text": f"{p['title']}: when does number {p['id'][-1]} open?"} for p in passages]
    for name, rows in (("corpus", passages), ("queries", queries)):
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (tmp_path / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    (tmp_path / "qrels.tsv").write_text("".join(f"{p['id']}\t{p['id']}\t1\n" for p in passages), encoding="utf-8")
    command = ("eval", "chunking", str(tmp_path), "--join", "--size", "64", "--strategies", "fixed,structure+sentence")
    measured = as_json(*command)
    assert set(measured) == set(documented("eval-chunking"))
    assert (measured["documents"], measured["joined"]) == (2, True)
    fixed, structure = measured["strategies"]
    assert set(structure) == set(documented("eval-chunking")["strategies"][0])
    assert fixed["p"] is None and 0 < structure["p"] <= 1
    assert structure["queries"] == 8 and structure["chunks"] > 4 and 0 < structure["mean_tokens"] <= 64
    assert as_json(*command, "--limit", "4")["strategies"][0]["queries"] == 4
    assert "structure+sentence" in run(*command)


def test_errors_are_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lunheng", "search", "x", "--kb", str(tmp_path / "none")], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "holds no knowledge base" in done.stderr and "Traceback" not in done.stderr


def test_a_terminal_that_knows_no_chinese_gets_json_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "年假.md").write_text("# 年假\n\n十天。", encoding="utf-8")
    command = [sys.executable, "-m", "lunheng", "parse", str(tmp_path / "年假.md"), "--json"]
    done = subprocess.run(command, capture_output=True, env={**os.environ, "PYTHONIOENCODING": "latin-1"})
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.decode("latin-1"))["title"] == "年假"


@pytest.mark.parametrize("command", ["parse", "chunk"])
def test_a_folder_is_no_file(command: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, [command, str(tmp_path)])
    said = unwrapped(result.output)
    assert result.exit_code == 2 and "is a folder" in said and "lunheng add" in said


def test_parse_shows_what_is_known_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "码头.md"
    path.write_text("---\nauthor: 黎若禾\ndate: 2026-03-01\nstops: [甲, b]\n---\n# Pier\n\n开放。", encoding="utf-8")
    result = CliRunner().invoke(app, ["parse", str(path)])
    assert "author: 黎若禾; created_at: 2026-03-01; stops: 甲, b" in result.output


def test_a_reader_that_has_read_enough_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_text("one line\n" * 50_000, encoding="utf-8")
    for option in ([], ["--json"]):
        command = [sys.executable, "-m", "lunheng", "parse", str(tmp_path / "long.txt"), *option]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None and process.stderr is not None
            process.stdout.readline()
            process.stdout.close()
            assert process.stderr.read() == b""


def test_import_is_light() -> None:
    code = "import sys, lunheng; print(len([m for m in sys.modules if m.split('.')[0] in ('numpy', 'sqlalchemy', 'torch')]))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "0"


def test_tune_check_names_bad_lines(tmp_path: Path) -> None:
    rows = [
        {"instruction": "备份保留多久？", "output": "35 天。"},
        {"instruction": "备份保留多久？", "output": ""},
        {"instruction": "备份保留多久？", "output": "35 天。"},
        {"instruction": "How long are backups kept?", "output": "35 days."},
    ]
    data, quarantine = tmp_path / "data.jsonl", tmp_path / "quarantine.jsonl"
    data.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    options = ("tune", "check", str(data), "--window", "1024", "--quarantine", str(quarantine))
    report = as_json(*options, code=1)
    assert set(report) == set(documented("tune-check"))
    assert set(report["lengths"]) == set(documented("tune-check")["lengths"])
    assert set(report["problems"][0]) == set(documented("tune-check")["problems"][0])
    found = [(p["origin"]["line"], p["kind"]) for p in report["problems"]]
    assert found == [(2, "empty answer"), (3, "duplicate")] and report["fatal"] == 1
    assert json.loads(quarantine.read_text("utf-8"))["line"] == 2
    assert "data.jsonl:2" in run(*options, code=1)
    data.write_text(json.dumps(rows[0]), encoding="utf-8")
    assert "nothing to complain of" in run("tune", "check", str(data))


def test_progress_in_lines_where_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from lunheng.cli import common

    now = 0.0
    monkeypatch.setattr(common.time, "monotonic", lambda: now)
    for quiet in (False, True):
        with common.bar("训练 sft", quiet) as advance:
            for second in range(26):
                now += 1.0
                advance(second + 1, 26, "loss 1.5 [bold]")
    said = capsys.readouterr()
    assert said.err.splitlines() == ["训练 sft: 10/26, loss 1.5 [bold]", "训练 sft: 20/26, loss 1.5 [bold]"]
    assert not said.out
