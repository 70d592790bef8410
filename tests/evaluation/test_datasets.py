"""The set's form: what is read, and that each bad line is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lunheng.errors import DataError
from lunheng.evaluation.datasets import load_dataset

DATA = Path(__file__).parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"the benchmark data is not at {DATA}")


def write(folder: Path, corpus: str | None = None, queries: str | None = None, qrels: str | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    texts = {
        "corpus.jsonl": corpus
        or '{"id": "a", "title": "备份", "text": "每天凌晨备份"}\n{"id": "b", "title": "", "text": "rain"}\n',
        "queries.jsonl": queries or '{"id": "1", "text": "何时备份？"}\n{"id": "2", "text": "who?"}\n',
        "qrels.tsv": qrels or "1\ta\t2\n1\tb\t0\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_reads_passages_queries_and_grades(tmp_path: Path) -> None:
    dataset = load_dataset(write(tmp_path / "set"))
    assert dataset.name == "set"
    assert [p.full_text for p in dataset.passages] == ["备份\n每天凌晨备份", "rain"]
    assert dataset.qrels == {"1": {"a": 2, "b": 0}}
    assert [q.id for q in dataset.judged] == ["1"], "query 2 has no relevant passage"


def test_header_blank_lines_and_byte_order_mark_are_allowed(tmp_path: Path) -> None:
    folder = write(tmp_path, qrels="query-id\tcorpus-id\tscore\n\n1\ta\t1\n")
    (folder / "queries.jsonl").write_text('\ufeff{"id": 1, "text": "何时？"}\n\n', encoding="utf-8")
    dataset = load_dataset(folder)
    assert dataset.queries[0].id == "1"
    assert dataset.qrels == {"1": {"a": 1}}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"corpus": '{"id": "a", "text": "x"}\n{"id": \n'}, "corpus.jsonl, line 2: not JSON"),
        ({"corpus": '{"id": "a", "text": "x"}\n["b"]\n'}, "corpus.jsonl, line 2: a JSON object"),
        ({"corpus": '{"text": "x"}\n'}, 'corpus.jsonl, line 1: "id"'),
        ({"corpus": '{"id": "a", "text": "x"}\n{"id": "a", "text": "y"}\n'}, "row 2.*twice"),
        ({"queries": '{"id": "1", "text": ""}\n'}, 'queries.jsonl, line 1: "text"'),
        ({"queries": "\n"}, "queries.jsonl is empty"),
        ({"qrels": "1\ta\t1\n1 b 1\n"}, "qrels.tsv, line 2.*3|qrels.tsv, line 2.*tabs"),
        ({"qrels": "1\ta\t1\n1\tb\tyes\n"}, 'line 2: the grade "yes"'),
        ({"qrels": "9\ta\t1\n"}, 'line 1: no query has the id "9"'),
        ({"qrels": "1\tz\t1\n"}, 'line 1: no passage of .* has the id "z"'),
        ({"qrels": "1\ta\t0\n"}, "nothing can be measured"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, files: dict[str, str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_dataset(write(tmp_path, **files))


def test_wrong_encoding_and_missing_file_are_named(tmp_path: Path) -> None:
    folder = write(tmp_path)
    (folder / "corpus.jsonl").write_bytes(json.dumps({"id": "a", "text": "备份"}, ensure_ascii=False).encode("gb18030"))
    with pytest.raises(DataError, match="line 1: not UTF-8"):
        load_dataset(folder)
    (folder / "corpus.jsonl").unlink()
    with pytest.raises(DataError, match=r"corpus\.jsonl is missing"):
        load_dataset(folder)


def test_corpus_of_another_set(tmp_path: Path) -> None:
    zh = write(tmp_path / "zh")
    en = write(
        tmp_path / "en", corpus='{"id": "a", "title": "", "text": "Backups run nightly"}\n{"id": "b", "text": ""}\n'
    )
    dataset = load_dataset(zh, corpus=en)
    assert dataset.name == "zh over en"
    assert dataset.passages[0].text == "Backups run nightly"
    assert dataset.queries[0].text == "何时备份？"
    assert dataset.digest != load_dataset(zh).digest


@needs_data
def test_real_cross_lingual_pair() -> None:
    dataset = load_dataset(DATA / "xquad_zh", corpus=DATA / "xquad_en")
    assert (len(dataset.passages), len(dataset.judged)) == (240, 1190)
    assert "Panthers" in dataset.passages[0].text
    assert "黑豹队" in dataset.queries[0].text
