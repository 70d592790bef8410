"""From questions to a knowledge base that searches with what was trained from them, and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sentence_transformers", reason="needs the extra 'tune'")

from typer.testing import CliRunner

from lunheng import KnowledgeBase, Settings
from lunheng.cli.common import REFUSED
from lunheng.cli.main import app
from lunheng.errors import ConfigError, ModelError
from lunheng.models.promoted import promote, promoted_file
from lunheng.models.registry import Registry
from lunheng.testing.tiny_encoder import make_tiny_encoder
from lunheng.testing.tiny_model import write_jsonl
from lunheng.tuning.encoders.bases import find_encoder
from lunheng.tuning.encoders.served import serve_embedder

THINGS = ("pump", "valve", "filter", "motor", "水泵", "阀门", "滤网", "电机", "sensor", "fan", "传感器", "风扇")
ASKED = ("how do I clean the {}", "{} 怎么清洗", "what does the {} weigh", "{} 有多重")
SAID = ("wash {} with warm water", "用温水清洗 {}", "{} has a mass of two kilograms", "{} 重两公斤")
ROWS: list[dict[str, object]] = [
    {"query": asked.format(thing), "positive": said.format(thing), "group": f"{thing} {n}"}
    for thing in THINGS
    for n, (asked, said) in enumerate(zip(ASKED, SAID, strict=True))
]


OFFICIAL = "official note of the {} 官方说明"
RUMOURS = ("rumour {0} {0} 传闻", "gossip {0} {0} 闲话", "hearsay {0} {0} 听说")
ABOUT: list[dict[str, object]] = [
    {
        "query": asked.format(thing),
        "positive": OFFICIAL.format(thing),
        "negatives": [rumour.format(thing) for rumour in RUMOURS],
        "group": f"{thing} {n}",
    }
    for thing in THINGS
    for n, asked in enumerate(("tell me of {}", "介绍 {}", "{} 是什么", "what is {}"))
]
"""Words and vectors alone prefer the rumours, which say the name twice."""
TEXTS = [str(r[k]) for r in (*ROWS, *ABOUT) for k in ("query", "positive")] + [r.format("") for r in RUMOURS]


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny embedder of the registry, called ``tiny``, in a cache of its own; gives the run's folder."""
    monkeypatch.setenv("LUNHENG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LUNHENG_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("LUNHENG_MODELS__LLM", "none")
    run = tmp_path / "base"
    model = make_tiny_encoder(run / "model", TEXTS)
    form = serve_embedder(model, run / "served", 64, "query: ", "passage: ")
    promote("tiny", form.folder, table(form.dimension))
    return run


def table(dimension: int | None) -> dict[str, Any]:
    prefixes = {"query_prefix": "query: ", "passage_prefix": "passage: "}
    return {
        "task": "embedder",
        "format": "onnx",
        "licence": "MIT",
        "window": 64,
        "dimension": dimension,
        "pooling": "mean",
        **prefixes,
    }


@pytest.fixture
def knowledge(base: Path, tmp_path: Path) -> Path:
    documents = tmp_path / "documents"
    documents.mkdir()
    about = [text.format(thing) for thing in THINGS for text in (OFFICIAL, *RUMOURS)]
    for n, text in enumerate([*(str(row["positive"]) for row in ROWS), *about]):
        (documents / f"{n}.txt").write_text(text, encoding="utf-8")
    return indexed(tmp_path / "kb", documents)


def indexed(folder: Path, documents: Path) -> Path:
    """A knowledge base of ``documents``, with the tiny embedder."""
    defaults = Settings()
    models = defaults.models.model_copy(update={"embedder": "tiny", "llm": "none"})
    with KnowledgeBase.open(folder, defaults.model_copy(update={"models": models})) as kb:
        assert not kb.sync(documents).failed
    return folder


def lunheng(*arguments: str, code: int = 0) -> Any:
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exit_code == code, f"{result.output}\n{result.exception!r}"
    return json.loads(result.stdout)


def settings(**changes: object) -> list[str]:
    return [part for key, value in changes.items() for part in ("--set", f"{key.replace('__', '.')}={value}")]


def test_a_trained_embedder_is_promoted_and_the_knowledge_base_moves_to_it(knowledge: Path, tmp_path: Path) -> None:
    data = write_jsonl(tmp_path / "questions.jsonl", ROWS)
    common = ["tune", "embed", "--kb", str(knowledge), "--data", str(data), "--model", "tiny"]
    how = settings(training__steps=30, training__learning_rate=5e-3, data__window=32, embedding__negatives=0)
    made = lunheng(*common, *how, "--promote", "--name", "better")
    assert made["lift"]["better"] and made["promoted"] == "better" and made["refusal"] == ""
    assert made["form"] == "onnx" and made["search"]["questions"] == made["lift"]["held_out"]["questions"]
    assert made["status"] == "done" and (knowledge / "tuning" / "embed-1" / "lift.json").is_file()
    assert lunheng("status", "--kb", str(knowledge))["embedder"] == "better"
    with KnowledgeBase.open(knowledge) as kb:
        assert len(kb.search("风扇 怎么清洗", k=3)) == 3
    assert "better" in [row["name"] for row in lunheng("models", "list", "--task", "embedder")]
    assert find_encoder("better").folder == str(knowledge / "tuning" / "embed-1" / "model")
    back = lunheng("models", "use", "tiny", "--kb", str(knowledge))
    assert back == {"embedder": "tiny", "reranker": "default", "llm": "none"}
    assert lunheng("models", "rollback", "--kb", str(knowledge)) == {"task": "embedder", "from": "tiny", "to": "better"}
    undone = lunheng("models", "rollback", "embedder", "--kb", str(knowledge))
    assert undone == {"task": "embedder", "from": "better", "to": "tiny"}
    assert CliRunner().invoke(app, ["models", "rollback", "--kb", str(knowledge)]).exit_code != 0, "nothing to undo"
    refused = lunheng(*common, *settings(training__steps=1, training__learning_rate=1e-7), "--promote", code=REFUSED)
    assert refused["promoted"] is None and "not promoted" in refused["refusal"]
    assert lunheng("status", "--kb", str(knowledge))["embedder"] == "tiny"


def test_a_trained_reranker_is_promoted_and_the_knowledge_base_uses_it(knowledge: Path, tmp_path: Path) -> None:
    data = write_jsonl(tmp_path / "questions.jsonl", ABOUT)
    how = settings(
        training__steps=40, training__batch=8, training__learning_rate=3e-3, data__window=48, reranking__negatives=3
    )
    how += settings(data__validation_share=0.4)  # of few questions a gain could be chance
    common = ["tune", "rerank", "--kb", str(knowledge), "--data", str(data), "--model", "tiny", *how]
    made = lunheng(*common, "--set", "reranking.loss=lambda", "--promote", "--name", "judge")
    assert made["lift"]["better"] and made["promoted"] == "judge" and made["compared_with"] == "first stage"
    with KnowledgeBase.open(knowledge) as kb:
        assert kb.status()["reranker"] == "judge"
        assert "official" in kb.search("what is fan", k=2)[0].chunk.text
        with pytest.raises(ModelError):
            kb.use_reranker("no-such-model")
        assert kb.status()["reranker"] == "judge"
    assert lunheng("models", "rollback", "reranker", "--kb", str(knowledge))["to"] == "default"
    assert lunheng("status", "--kb", str(knowledge))["reranker"] == "default"
    defaults = Settings.load(knowledge)
    named = defaults.model_copy(update={"models": type(defaults.models)(reranker="none", llm="none")})
    with KnowledgeBase.open(knowledge, named) as kb, pytest.raises(ConfigError, match="stands above"):
        kb.use_reranker("judge")


def test_with_a_knowledge_base_alone_the_questions_are_asked_of_it(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guides = tmp_path / "guides"
    guides.mkdir()
    for n, thing in enumerate(THINGS):
        page = f"| Part | Weight | 价格 |\n|---|---|---|\n| {thing} | {n + 2} kg | {10 * n} 元 |\n"
        (guides / f"{n}.md").write_text(page, encoding="utf-8")
    monkeypatch.setattr("lunheng.cli.tune.encoders.FEW_DOCUMENTS", 20)
    kb = indexed(tmp_path / "kb", guides)
    how = settings(training__steps=2, data__window=32, data__validation_share=0.3, embedding__negatives=0)
    made = lunheng("tune", "embed", "--kb", str(kb), "--templates", "--model", "tiny", *how)
    asked = (kb / "tuning" / "embed-1" / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    examples = made["examples"]
    assert len(asked) == examples["trained"] + examples["held_out"] > 4
    assert made["lift"]["held_out"]["questions"] == examples["held_out"] and made["promoted"] is None
    triples = (kb / "tuning" / "embed-1" / "triples.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(triples) == len(asked) and any(json.loads(line)["negatives"] for line in triples)
    recipe = (kb / "tuning" / "embed-1" / "recipe.toml").read_text(encoding="utf-8")
    assert 'group = "chunk_id"' in recipe, "of few documents, holding out by document would leave too little"
    result = CliRunner().invoke(app, ["tune", "embed", "--data", "x.jsonl", "-o", "out", "--limit", "3"])
    assert result.exit_code == 2 and "--limit" in result.output


def test_names_are_not_taken_twice(base: Path, tmp_path: Path) -> None:
    promote("tiny", base / "served", table(32))
    assert Registry.load()["tiny"].dimension == 32
    other = tmp_path / "other"
    other.mkdir()
    (other / "model.onnx").write_bytes(b"1")
    with pytest.raises(ModelError, match="another trained model has this name"):
        promote("tiny", other, table(32))
    with pytest.raises(ModelError, match="another model of models"):
        promote("multilingual-e5-small", other, table(32))
    with pytest.raises(ModelError, match="lower-case"):
        promote("../x", other, table(32))
    promoted_file().write_text("models = 1", encoding="utf-8")
    with pytest.raises(ConfigError, match="damaged"):
        Registry.load()
