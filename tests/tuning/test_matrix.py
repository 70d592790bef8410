"""Every method in every way to hold parameters, and every parameter mode: what must hold of all of them.

The loss falls, only what is meant to changes, what is saved says the same when it is opened, and a run that was stopped
ends as one that was not. On a tiny model of real architecture; with LUNHENG_MATRIX=real (make test-matrix) on a real
one of 135 million parameters.
"""

from __future__ import annotations

import os
import signal
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="needs the extra 'tune'")

from lunheng.models.llms.hugging_face import HuggingFaceLLM
from lunheng.testing.tiny_encoder import make_tiny_encoder
from lunheng.testing.tiny_model import make_byte_tokenizer, make_tiny_model, write_jsonl
from lunheng.tuning.callbacks import read_log
from lunheng.tuning.methods import train
from lunheng.tuning.recipes import NEEDS, Recipe, make_recipe
from lunheng.tuning.run import Trained
from lunheng.types import Message

ON_REAL = os.environ.get("LUNHENG_MATRIX") == "real"
STEPS = 20
STOPPED_AT = 12

GOOD, BAD = "请看手册第三章。See chapter 3.", "不知道。No idea."
ASKED = [f"第 {i % 5} 号门怎么开? How?" for i in range(24)]
ROWS: dict[str, list[dict[str, object]]] = {
    "text": [{"text": f"第 {i % 5} 号门的代码是 KESTREL-{i % 5}。The code of the door. " * 3} for i in range(24)],
    "conversation": [{"instruction": asked, "output": f"{GOOD} {i % 3}"} for i, asked in enumerate(ASKED)],
    "preference": [
        {"prompt": asked, "chosen": f"{GOOD} {i % 3}", "rejected": f"{BAD} {i % 3}"} for i, asked in enumerate(ASKED)
    ],
    "judged": [
        {"prompt": asked, "completion": BAD if i % 2 else GOOD, "label": not i % 2} for i, asked in enumerate(ASKED)
    ],
    "prompt": [{"prompt": asked} for asked in ASKED],
}


@dataclass(frozen=True)
class Method:
    """A method's own settings, and whether its loss is something that falls."""

    settings: dict[str, Any]
    falls: bool = True


METHODS: dict[str, Method] = {
    "clm": Method({}),
    "sft": Method({}),
    "reward": Method({}),
    "dpo": Method({}),
    "kto": Method({}),
    "ppo": Method({"reward.completion_tokens": 8}, falls=False),
    "rloo": Method({"reward.completion_tokens": 8, "reward.functions": ["letters_reward:letters"]}, falls=False),
    "grpo": Method({"reward.completion_tokens": 8, "reward.functions": ["letters_reward:letters"]}, falls=False),
}
MODES: dict[str, dict[str, Any]] = {
    "full": {},
    "lora": {},
    "qlora": {},
    "dora": {},
    "rslora": {},
    "loftq": {},
    "pissa": {},
    "adalora": {"training.learning_rate": 0.03},
    "qadalora": {"training.learning_rate": 0.03},
    "ia3": {"training.learning_rate": 0.3},
    "prefix": {"training.learning_rate": 0.1},
    "prompt": {"training.learning_rate": 0.1},
    "ptuning": {"training.learning_rate": 0.01},
    "bottleneck": {"training.learning_rate": 0.01},
    "lora, LoRA+": {"parameters.plus_ratio": 16},
    "lora, embeddings": {"parameters.save_embeddings": True},
    "lora, checkpointing": {"training.checkpointing": True},
    "lora, dropout": {"parameters.dropout": 0.1},
}
FEW = ("ia3", "prefix", "prompt", "ptuning")
"""Modes that train so little that over random weights the loss falls by less."""
CASES = [(method, mode) for method in METHODS for mode in ("full", "lora", "qlora") if method != "sft"]
CASES += [("sft", mode) for mode in MODES]


@pytest.fixture(scope="module")
def base(real_model: str, tiny_model: str) -> str:
    return real_model if ON_REAL else tiny_model


@pytest.fixture(scope="module")
def writer(real_model: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the methods that let the model write begin with: with a word a byte, a tiny one writes fast."""
    if ON_REAL:
        return real_model
    return str(
        make_tiny_model(tmp_path_factory.mktemp("writer"), make_byte_tokenizer(tmp_path_factory.mktemp("bytes")))
    )


@pytest.fixture(autouse=True)
def _letters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reward that differs from one random completion to the next: where all are alike, there is nothing to learn."""
    code = "def letters(prompt, completion, answer):\n    return sum('a' <= c <= 'z' for c in completion) / 40\n"
    (tmp_path / "letters_reward.py").write_text(code, encoding="utf-8")
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def judge(writer: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A reward model for ppo."""
    folder = tmp_path_factory.mktemp("judge")
    return str(train(recipe(writer, "reward", "lora", folder, {"training.steps": 2})).output)


def recipe(base: str, method: str, mode: str, folder: Path, changes: dict[str, Any]) -> Recipe:
    data = write_jsonl(folder / "data.jsonl", ROWS[NEEDS[method]])  # type: ignore[index]
    given: dict[str, Any] = {
        "method": method,
        "model": {"name": base},
        "data": {"train": str(data), "window": 96, "validation_share": 0.0},
        "output": str(folder / "out"),
        "parameters": {"mode": mode.split(",")[0]},
        "training": {
            "steps": STEPS,
            "batch": 4 if method in ("ppo", "rloo", "grpo") else 2,
            "learning_rate": (1e-4 if mode == "full" else 1e-3) if ON_REAL else 3e-3,
            "save_steps": STOPPED_AT,
        },
    }
    return make_recipe(given, **{**METHODS[method].settings, **MODES[mode], **changes})


def losses(output: Path) -> list[float]:
    return [entry["loss"] for entry in read_log(output / "log.jsonl") if "loss" in entry]


def stop(step: int, steps: int, text: str) -> None:
    if step == STOPPED_AT:
        os.kill(os.getpid(), signal.SIGTERM)


def logits(model: Any) -> Any:
    import torch

    with torch.no_grad():
        return model.eval()(input_ids=torch.arange(5, 25)[None]).logits


@pytest.mark.parametrize(("method", "mode"), CASES)
def test_it_trains(method: str, mode: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: Any) -> None:
    import torch

    from lunheng.tuning.run import Run
    from lunheng.tuning.trained import find_trained, open_tokenizer, open_trained

    base = request.getfixturevalue("writer" if method in ("ppo", "rloo", "grpo") else "base")
    changes = {"reward.model": request.getfixturevalue("judge")} if method == "ppo" else {}
    seen: dict[str, Any] = {}
    whole_course = Run.train

    def watched(self: Run, trainer: Any, **options: Any) -> Trained:
        before = {name: p.detach().clone() for name, p in trainer.model.named_parameters() if not p.requires_grad}
        trained = whole_course(self, trainer, **options)
        seen["model"] = trainer.model
        seen["moved"] = [
            name for name, p in trainer.model.named_parameters() if name in before and not torch.equal(p, before[name])
        ]
        seen["types"] = {p.dtype for p in trainer.model.parameters() if p.requires_grad}
        return trained

    monkeypatch.setattr(Run, "train", watched)
    (tmp_path / "whole").mkdir()
    (tmp_path / "halved").mkdir()
    whole = train(recipe(base, method, mode, tmp_path / "whole", changes))
    curve = losses(whole.output)
    assert whole.manifest.status == "done" and len(curve) == STEPS
    if METHODS[method].falls:
        assert sum(curve[-4:]) < (0.997 if mode in FEW and not ON_REAL else 0.985) * sum(curve[:4]), curve
    kept = [name for name in seen["moved"] if "ranknum" not in name]
    assert not kept, "what is not trained stands still"
    assert seen["types"] == {torch.float32}

    opened = open_trained(find_trained(whole.output), "score" if method == "reward" else "words")
    assert torch.allclose(logits(opened), logits(seen["model"]), atol=1e-4), "what is saved says the same"
    if method != "reward":
        with closing(HuggingFaceLLM(whole.output)) as served:
            assert served.generate([Message("user", "第一号门 Which?")], max_tokens=4).completion_tokens
            (read,) = served.token_log_probabilities([list(range(5, 25))])
        words = open_tokenizer(find_trained(whole.output))
        start = words.eos_token_id if words.bos_token_id is None else words.bos_token_id
        with torch.no_grad():
            wanted = opened(input_ids=torch.tensor([[start, *range(5, 24)]])).logits[0, -20:].log_softmax(-1)
        assert torch.allclose(torch.tensor(read), wanted[range(20), range(5, 25)].double(), atol=1e-3), "served, too"

    halved = recipe(base, method, mode, tmp_path / "halved", changes)
    stopped = train(halved, report=stop)
    assert stopped.manifest.status == "stopped" and stopped.steps < STEPS
    resumed = train(halved, resume=True)
    assert losses(resumed.output) == curve, "the curve of a resumed run is the same"


TRIPLES: list[dict[str, object]] = [
    {
        "query": f"第 {i} 号门在哪里? Where is it?",
        "positive": f"{i} 号门 stands in hall {chr(65 + i)}.",
        "negatives": [f"不知道。No idea at all, {i}."],
    }
    for i in range(20)
]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    from lunheng.tuning.encoders.bases import find_encoder

    if ON_REAL:
        return find_encoder("multilingual-e5-small").folder
    return str(
        make_tiny_encoder(
            tmp_path_factory.mktemp("encoder") / "tiny", [str(v) for row in TRIPLES for v in row.values()]
        )
    )


@pytest.mark.parametrize("mode", ["full", "lora", "qlora"])
@pytest.mark.parametrize("method", ["embed", "rerank"])
def test_an_encoder_trains(method: str, mode: str, encoder: str, tmp_path: Path) -> None:
    """The same of embedders and rerankers; what serves is whole, whatever learnt."""
    import torch
    from safetensors.torch import load_file

    data = write_jsonl(tmp_path / "triples.jsonl", TRIPLES)

    def made(name: str) -> Recipe:
        return make_recipe(
            {
                "method": method,
                "model": {"name": encoder},
                "data": {"train": str(data), "window": 48, "validation_share": 0.2},
                "output": str(tmp_path / name),
                "parameters": {"mode": mode},
                "training": {
                    "steps": STEPS,
                    "batch": 8,
                    "learning_rate": (2e-5 if mode == "full" else 1e-3) if ON_REAL else 5e-3,
                    "save_steps": STOPPED_AT,
                },
                ("embedding" if method == "embed" else "reranking"): {"negatives": 1},
            }
        )

    whole = train(made("whole"))
    curve = losses(whole.output)
    assert whole.manifest.status == "done" and len(curve) == STEPS
    assert sum(curve[-4:]) < 0.985 * sum(curve[:4]), curve
    saved, base = (load_file(Path(folder) / "model.safetensors") for folder in (whole.model, encoder))
    names = {name.removeprefix("bert."): name for name in saved}
    changed = {name for name in base if name in names and not torch.equal(saved[names[name]], base[name])}
    assert changed, "what was learnt is in the matrices"
    if mode != "full":
        assert not any("lora" in name for name in saved) and all(
            name.startswith(("encoder.layer", "pooler")) for name in changed
        )
        assert whole.manifest.parameters["trained"] < whole.manifest.parameters["all"] / 2

    halved = made("halved")
    stopped = train(halved, report=stop)
    assert stopped.manifest.status == "stopped" and stopped.steps < STEPS
    assert losses(train(halved, resume=True).output) == curve, "the curve of a resumed run is the same"
