"""Fine-tuning an embedder: every loss trains, the right texts come closer, and what is not better is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sentence_transformers", reason="needs the extra 'tune'")

from lunheng.errors import ConfigError, DataError
from lunheng.evaluation.statistics import Interval
from lunheng.models.convert.bert_weights import from_folder
from lunheng.testing.fakes import FakeEmbedder
from lunheng.testing.real_models import real_embedder
from lunheng.testing.tiny_encoder import make_tiny_encoder
from lunheng.testing.tiny_model import write_jsonl
from lunheng.tuning.callbacks import read_log
from lunheng.tuning.data.examples import Origin, Triple
from lunheng.tuning.encoder_parts import EmbeddingPart
from lunheng.tuning.encoders.embedder import Tuned, columns_of, embed
from lunheng.tuning.encoders.lift import Comparison, Lift
from lunheng.tuning.encoders.retrieval_sets import fit, known_nearest, retrieval_set, with_negatives
from lunheng.tuning.manifest import read_manifest
from lunheng.tuning.recipes import make_recipe
from lunheng.tuning.resuming import At

THINGS = ("pump", "valve", "filter", "motor", "水泵", "阀门", "滤网", "电机", "sensor", "fan", "传感器", "风扇")
ASKED = ("how do I clean the {}", "{} 怎么清洗", "what does the {} weigh", "{} 有多重", "price of the {}", "{} 的价格")
SAID = (
    "wash {} with warm water",
    "用温水清洗 {}",
    "{} has a mass of two kilograms",
    "{} 重两公斤",
    "{} costs ten euros",
    "{} 售价十欧元",
)
ROWS: list[dict[str, object]] = [
    {"query": asked.format(thing), "positive": said.format(thing), "group": f"{thing} {n}"}
    for thing in THINGS
    for n, (asked, said) in enumerate(zip(ASKED, SAID, strict=True))
]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_encoder(
        tmp_path_factory.mktemp("base") / "tiny", [str(r[k]) for r in ROWS for k in ("query", "positive")]
    )


def write_set(folder: Path) -> Path:
    """A labelled set of other questions."""
    folder.mkdir()
    write_jsonl(folder / "corpus.jsonl", [{"id": "1", "text": "the sky is blue"}, {"id": "2", "text": "雪是白的"}])
    write_jsonl(folder / "queries.jsonl", [{"id": "a", "text": "what is blue"}, {"id": "b", "text": "什么是白的"}])
    (folder / "qrels.tsv").write_text("a\t1\t1\nb\t2\t1\n", encoding="utf-8")
    return folder


def raw(base: Path, folder: Path, **training: Any) -> dict[str, Any]:
    data = write_jsonl(folder / "data.jsonl", ROWS)
    return {
        "method": "embed",
        "model": {"name": str(base)},
        "data": {"train": str(data), "window": 32, "validation_share": 0.25},
        "output": str(folder / "out"),
        "training": {"steps": 30, "batch": 16, "learning_rate": 5e-3, **training},
    }


def test_it_gets_better_and_says_by_how_much(base: Path, tmp_path: Path) -> None:
    given = raw(base, tmp_path, evaluate_steps=10)
    general = {"general": str(write_set(tmp_path / "general")), "allowed_loss": 0.9}
    tuned: Tuned = embed(make_recipe({**given, "embedding": {"freeze_words": True, "negatives": 0, **general}}))
    manifest = tuned.trained.manifest
    assert manifest.status == "done" and manifest.steps == 30
    assert manifest.metrics["validation_ndcg@10"] > manifest.before["validation_ndcg@10"]
    assert tuned.lift is not None and tuned.lift.better and tuned.lift.refusal == ""
    assert tuned.lift.general is not None and tuned.lift.general.questions == 2
    held = tuned.lift.held_out
    assert held.after["ndcg@10"].mean > held.before["ndcg@10"].mean and held.difference.low > 0
    assert (tmp_path / "out" / "lift.json").is_file() and (tmp_path / "out" / "recipe.toml").is_file()
    assert read_manifest(tmp_path / "out").metrics["ndcg@10"] == held.after["ndcg@10"].mean
    old, new = from_folder(base).tensors, from_folder(tuned.trained.model).tensors
    assert (old["emb.word"] == new["emb.word"]).all() and (old["l0.q.w"] != new["l0.q.w"]).any()
    assert manifest.parameters["trained"] == manifest.parameters["all"] - old["emb.word"].size


@pytest.mark.parametrize(
    "embedding",
    [
        {"loss": "cached_multiple_negatives", "scale": 10, "matryoshka": [16, 8]},
        {"loss": "triplet", "margin": 0.2},
        {"loss": "contrastive", "negatives": 2},
        {"loss": "cosent"},
    ],
)
def test_every_loss_trains(base: Path, tmp_path: Path, embedding: dict[str, Any]) -> None:
    tuned = embed(make_recipe({**raw(base, tmp_path, steps=12, device_batch=8), "embedding": embedding}))
    losses = [entry["loss"] for entry in read_log(tuned.trained.output / "log.jsonl") if "loss" in entry]
    assert len(losses) == 12 and sum(losses[6:]) < sum(losses[:6])
    assert tuned.lift is not None and tuned.lift.held_out.questions > 5
    assert any("drawn at random" in warning for warning in tuned.trained.manifest.warnings)


def test_resumed_it_ends_where_the_whole_run_ends(base: Path, tmp_path: Path) -> None:
    whole = embed(make_recipe({**raw(base, tmp_path, steps=6, save_steps=3), "output": str(tmp_path / "whole")}))
    half = tmp_path / "half"
    embed(make_recipe({**raw(base, tmp_path, steps=6, save_steps=3), "output": str(half)}))
    resumed = embed(make_recipe({**raw(base, tmp_path, steps=6, save_steps=3), "output": str(half)}), resume=At(3))
    one, other = from_folder(whole.trained.model).tensors, from_folder(resumed.trained.model).tensors
    assert all((one[name] == other[name]).all() for name in one)


def test_a_model_that_is_not_better_is_refused() -> None:
    def lift(mean: float, p: float, general: float | None = None) -> Lift:
        def compared(difference: float, chance: float) -> Comparison:
            there = {"ndcg@10": Interval(0.5, 0.4, 0.6)}
            return Comparison(100, there, there, Interval(difference, difference - 0.1, difference + 0.1), chance)

        return Lift(compared(mean, p), compared(general, 0.001) if general is not None else None, 0.02)

    assert "not better" in lift(-0.01, 0.001).refusal and "not better" in lift(0.0, 1.0).refusal
    assert "may be chance" in lift(0.05, 0.2).refusal
    assert "it has forgotten" in lift(0.05, 0.001, -0.1).refusal
    assert lift(0.05, 0.001, -0.01).better and lift(0.05, 0.001).better


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"embedding": {"margin": 0.3}}, "embedding.margin is for triplet, contrastive"),
        ({"embedding": {"loss": "triplet", "scale": 5}}, "embedding.scale is for"),
        ({"embedding": {"loss": "triplet", "negatives": 0}}, "needs at least 1"),
        ({"embedding": {"allowed_loss": 0.5}}, "no embedding.general"),
        ({"embedding": {"temperature": 0.5}}, "embedding.temperature is no key"),
        ({"reranking": {}}, r"\[reranking\] is for rerank"),
        ({"preference": {}}, r"\[preference\] is for"),
        ({"parameters": {"mode": "prefix"}}, "trains in the modes full, lora, qlora, dora, rslora, not prefix"),
        ({"training": {"batch": 16, "device_batch": 4}}, "cached_multiple_negatives"),
        ({"model": {"name": "x", "template": "chatml"}}, "model.template is for language models"),
    ],
)
def test_what_it_does_not_use_is_an_error(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        make_recipe({**raw(tmp_path, tmp_path), **changes})


def test_too_short_vectors_and_nothing_held_out(base: Path, tmp_path: Path) -> None:
    given = raw(base, tmp_path)
    with pytest.raises(ConfigError, match="is not shorter than the model's 32"):
        embed(make_recipe({**given, "embedding": {"matryoshka": [32]}}))
    with pytest.raises(DataError, match="nothing is held out"):
        embed(make_recipe({**given, "data": {**given["data"], "validation_share": 0}}))


def triple(query: str, positive: str, *negatives: str, group: str = "", score: float | None = None) -> Triple:
    return Triple(Origin("x", 1), query, positive, negatives, score, group)


def test_texts_over_the_window_are_cut_dropped_or_refused(base: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base)
    long = triple("水泵怎么清洗", "用温水清洗 水泵 " * 20, "wash pump")
    cut = fit(tokenizer, [long], 24, "truncate", ("query: ", "passage: "))
    assert cut.triples[0].positive.startswith("用温水清洗 水泵") and cut.triples[0].query == long.query
    assert len(tokenizer("passage: " + cut.triples[0].positive)["input_ids"]) <= 24
    assert [p.kind for p in cut.problems] == ["truncated"]
    paired = fit(tokenizer, [long], 24, "truncate", None).triples[0]
    assert len(tokenizer(paired.query, paired.positive)["input_ids"]) <= 24
    with pytest.raises(DataError, match="1 of its 3 texts are over the window"):
        fit(tokenizer, [long], 24, "refuse", ())
    kept = fit(tokenizer, [long, triple("a", "b")], 24, "drop", ())
    assert len(kept.triples) == 1 and [p.kind for p in kept.problems] == ["too long"]


def test_negatives_are_drawn_from_other_groups_only() -> None:
    rows = [triple("q1", "a", "x", group="1"), triple("q1", "b", group="1"), triple("q2", "c", group="2")]
    made, drawn = with_negatives(rows, 1, 0)
    assert [t.negatives for t in made[:2]] == [("x",), ("c",)] and drawn == 2
    assert made[2].negatives[0] in ("a", "b")
    with pytest.raises(DataError, match="too few passages"):
        with_negatives(rows, 3, 0)
    fewer, _ = with_negatives(rows, 3, 0, required=False)
    assert [len(t.negatives) for t in fewer] == [2, 1, 2]
    spared, drawn = with_negatives(rows, 3, 0, ["s", "t", "u"])
    assert all(len(set(t.negatives)) == 3 and t.positive not in t.negatives for t in spared) and drawn == 8


def test_one_question_with_two_answers_is_one_question() -> None:
    found = retrieval_set("s", [triple("q", "a", "n"), triple("q", "b"), triple("r", "a")], ["z", "a"])
    assert [q.text for q in found.queries] == ["q", "r"] and [p.text for p in found.passages] == ["a", "n", "b", "z"]
    assert found.qrels == {"q0": {"p0": 1, "p1": 0, "p2": 1}, "q1": {"p0": 1}}


def test_a_ranking_is_kept_by_embedder_and_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUNHENG_CACHE", str(tmp_path))

    class Counted(FakeEmbedder):
        calls = 0

        def embed(self, texts: Any, kind: Any) -> Any:
            Counted.calls += 1
            return super().embed(texts, kind)

    found = retrieval_set("s", [triple("q", "a"), triple("r", "b")])
    first = known_nearest(Counted(), found, 2)
    assert known_nearest(Counted(), found, 2) == first and Counted.calls == 2
    known_nearest(Counted(), retrieval_set("s", [triple("q", "a"), triple("r", "c")]), 2)
    assert Counted.calls == 4
    for path in (tmp_path / "rankings").iterdir():
        path.write_text("{", encoding="utf-8")
    assert known_nearest(Counted(), found, 2) == first


@pytest.mark.slow
def test_the_default_embedder_trains_and_serves_in_int8(tmp_path: Path) -> None:
    real_embedder()
    given = raw(Path("multilingual-e5-small"), tmp_path, steps=2, batch=4, learning_rate=1e-5)
    part = {"freeze_words": True, "negatives": 0}
    tuned = embed(make_recipe({**given, "embedding": part}))
    assert tuned.trained.manifest.status == "done" and tuned.lift is not None
    assert (tuned.form.format, tuned.form.window, tuned.form.query_prefix) == ("onnx", 512, "query: ")
    size = (tuned.form.folder / "model.onnx").stat().st_size
    assert size < 90e6, "the words keep their four bits, the rest is int8"
    before = tuned.lift.held_out.before["ndcg@10"].mean
    assert before > 0.6, "it is compared with the default embedder itself"


def test_graded_pairs_keep_their_grades() -> None:
    rows = [triple("q", "a", "n", score=0.6)]
    assert columns_of(EmbeddingPart(loss="cosent"), rows)["score"] == [0.6, 0.0]
    assert columns_of(EmbeddingPart(loss="contrastive"), rows)["label"] == [1.0, 0.0]
    assert columns_of(EmbeddingPart(loss="triplet"), rows) == {"query": ["q"], "positive": ["a"], "negative": ["n"]}
