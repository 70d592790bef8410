"""Reading, mixing, splitting and judging training data, on files as people have them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lunheng.errors import DataError
from lunheng.tuning.data.check import check
from lunheng.tuning.data.examples import Conversation, Origin, RawText, Turn
from lunheng.tuning.data.leaks import without_leaks
from lunheng.tuning.data.loading import DataSource, load, write_quarantine
from lunheng.tuning.data.privacy import personal_data
from lunheng.tuning.data.similarity import near_pairs
from lunheng.tuning.data.splitting import split

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "llamafactory_demos"
GOOD = [{"instruction": f"第 {i} 个问题 question {i * i}", "output": f"答案 {i}"} for i in range(20)]


def conversation(question: str, answer: str = "好", group: str = "", line: int = 1) -> Conversation:
    return Conversation(Origin("x", line), (Turn("user", question), Turn("assistant", answer)), group=group)


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), encoding="utf-8")
    return path


def test_bad_lines_are_named_and_the_rest_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", GOOD)
    lines = path.read_text("utf-8").splitlines()
    lines[3], lines[7], lines[9] = "{broken", '{"instruction": "x", "output": ""}', "[1, 2]"
    path.write_text("\ufeff" + "\n".join(lines) + "\n\n", encoding="utf-8")
    loaded = load([DataSource(path)])
    assert len(loaded.examples) == 17
    assert [(p.origin.line, p.kind) for p in loaded.problems] == [
        (4, "unreadable"),
        (8, "empty answer"),
        (10, "unreadable"),
    ]
    assert write_quarantine(loaded.problems, tmp_path / "out" / "quarantine.jsonl") == 3
    kept = [json.loads(line) for line in (tmp_path / "out" / "quarantine.jsonl").read_text("utf-8").splitlines()]
    assert [row["line"] for row in kept] == [4, 8, 10]


def test_every_file_format_gives_the_same(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", GOOD)
    (tmp_path / "b.json").write_text(json.dumps(GOOD), encoding="utf-8")
    (tmp_path / "c.json").write_text(json.dumps({"data": GOOD}), encoding="utf-8")
    rows = "\n".join(f'"{r["instruction"]}",{r["output"]}' for r in GOOD)
    (tmp_path / "d.csv").write_text("instruction,output\n" + rows + "\n", encoding="utf-8")
    (tmp_path / "e.tsv").write_text(
        "instruction,output\n".replace(",", "\t") + rows.replace('"', "").replace(",", "\t")
    )
    turns = [
        [e.turns for e in load([DataSource(tmp_path / name)]).examples]  # type: ignore[union-attr]
        for name in ("a.jsonl", "b.json", "c.json", "d.csv", "e.tsv")
    ]
    assert all(t == turns[0] for t in turns) and len(turns[0]) == 20
    assert len(load([DataSource(tmp_path)]).examples) == 100


def test_parquet(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow, of the extra 'tune'")
    import pyarrow

    parquet.write_table(pyarrow.Table.from_pylist(GOOD), tmp_path / "a.parquet")
    assert len(load([DataSource(tmp_path / "a.parquet")]).examples) == 20


def test_running_text_keeps_its_order(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("第一段\n还是第一段\n\n第二段\n", encoding="utf-8")
    examples = load([DataSource(tmp_path / "a.txt")], "text").examples
    assert [(e.text, e.origin.line) for e in examples if isinstance(e, RawText)] == [
        ("第一段\n还是第一段", 1),
        ("第二段", 4),
    ]


def test_weights(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", GOOD)
    assert len(load([DataSource(path, 2.5)]).examples) == 50
    half = load([DataSource(path, 0.5)], seed=3)
    assert len(half.examples) == 10 and half == load([DataSource(path, 0.5)], seed=3)
    assert half.examples != load([DataSource(path, 0.5)], seed=4).examples
    with pytest.raises(DataError, match="weight"):
        load([DataSource(path, 0)])


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.json", "{", "not JSON"),
        ("a.json", '{"a": 1}\n{"a": 2}', r"\.jsonl"),
        ("a.csv", "", "columns"),
        ("a.xyz", "x", "no data format"),
        ("a.jsonl", '{"foo": 1}', "foo"),
    ],
)
def test_files_of_no_use_are_named(tmp_path: Path, name: str, content: str, says: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=says) as caught:
        load([DataSource(tmp_path / name)])
    assert name in str(caught.value)


@given(
    st.lists(st.tuples(st.integers(0, 12), st.text(min_size=1, max_size=6)), min_size=2, max_size=40), st.integers(0, 5)
)
def test_a_split_keeps_groups_and_equal_questions_together(rows: list[tuple[int, str]], seed: int) -> None:
    examples = [conversation(text, group=f"g{group}" if group else "") for group, text in rows]
    training, held = split(examples, 0.3, seed)
    assert len(training) + len(held) == len(examples) and training
    key = {id(e): e.group or e.turns[0].content.strip() for e in examples}
    assert not {key[id(e)] for e in training} & {key[id(e)] for e in held}
    assert split(examples, 0.3, seed) == (training, held)


def test_a_split_stays_when_data_grows() -> None:
    few = [conversation(f"问题 {i}") for i in range(50)]
    more = few + [conversation(f"new {i}") for i in range(50)]
    held = {e.turns[0].content for e in split(few, 0.2)[1]}
    assert held and held <= {e.turns[0].content for e in split(more, 0.2)[1]}


def test_near_duplicates_in_both_languages() -> None:
    long = "备份每天凌晨两点半自动执行，保留三十五天，由运维部门每个季度第一个星期一做恢复演练。"
    other = "Backups run every night at half past two, are kept for thirty-five days, and are restored once a quarter."
    texts = [
        long,
        long.replace("三十五", "三十六"),
        other,
        other.replace("nightly", "").upper(),
        "食堂每周五供应面条。",
        "短",
    ]
    assert {(i, j) for i, j, _ in near_pairs(texts)} == {(0, 1), (2, 3)}
    assert [(i, j) for i, j, _ in near_pairs([texts[1]], [texts[0], texts[4]])] == [(0, 0)]


def test_the_report_names_what_it_finds() -> None:
    examples = [
        conversation("备份保留多久？请说明依据。", "35 天", line=1),
        conversation("备份保留多久？请说明依据。", "35 天", line=2),
        conversation("请把 13812345678 写下来", "好", line=3),
        conversation("How long are the backups of customer databases kept in Rotterdam?", "x " * 200, line=4),
    ]
    held = [conversation("How long are the backups of customer databases kept in Rotterdam??", "35 days")]
    report = check(examples, [], "digest", lambda text: len(text.split()), window=100, evaluation=held)
    assert [(p.origin.line, p.kind) for p in report.problems] == [
        (2, "duplicate"),
        (3, "personal data"),
        (4, "too long"),
        (4, "leak"),
    ]
    assert report.fatal == 1 and report.languages == {"zh": 3, "en": 1} and report.lengths.over == 1
    assert sum(n for _, n in report.lengths.histogram) == 4


LONG = "请问{}鹿特丹客户数据库的备份一般要保留多久才会被彻底删除？请详细说明依据出自手册的哪一章哪一节"


@pytest.mark.parametrize(
    ("asked", "leaked"),
    [
        ("备份保留多久？请说明依据。", True),
        ("備份保留多久？ 请说明依据", True),
        (LONG.format("") + "呢？", True),
        (LONG.format("第 12 号"), False),  # another number, another question
        ("食堂几点开门？", False),
    ],
)
def test_a_leak_is_what_the_evaluation_asks_too(asked: str, leaked: bool) -> None:
    training = [conversation(q, "答", line=n) for n, q in enumerate(("无关的问题", asked), start=1)]
    held = ("备份保留多久？请说明依据。", LONG.format(""), LONG.format("第 13 号"))
    kept, problems = without_leaks(training, [conversation(q, "答") for q in held])
    assert [p.origin.line for p in problems] == ([2] if leaked else []) and len(kept) == (1 if leaked else 2)


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("写信给 li.lei@company.cn", ["email"]),
        ("see user@example.com", []),
        ("电话 138 1234 5678", ["phone"]),
        ("call (555) 123-4567", ["phone"]),
        ("身份证 11010519491231002X", ["identity number"]),
        ("订单 110105194912310021", []),
        ("card 4111 1111 1111 1111", ["card number"]),
        ("圆周率 3.14159265358979323846", []),
        ("order 1234567890123456", []),
    ],
)
def test_personal_data(text: str, kinds: list[str]) -> None:
    assert [kind for kind, _ in personal_data(text)] == kinds
    assert all(text not in shown for _, shown in personal_data(text))


@pytest.mark.parametrize("name", ["alpaca_en_demo", "alpaca_zh_demo", "dpo_en_demo", "dpo_zh_demo", "kto_en_demo"])
def test_the_demo_sets_of_llama_factory(name: str) -> None:
    path = SHARED / f"{name}.json"
    if not path.is_file():
        pytest.skip("needs shared/data/llamafactory_demos beside the checkout")
    loaded = load([DataSource(path)])
    assert not loaded.problems and len(loaded.examples) >= 300
