"""Parameter modes: what each does that no other does, and what does not go together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="needs the extra 'tune'")

import torch

from lunheng.errors import ConfigError, ModelError
from lunheng.testing.tiny_model import write_jsonl
from lunheng.tuning.adapters.loftq import begin_as_lost
from lunheng.tuning.methods import train
from lunheng.tuning.modes import load_base, wrap
from lunheng.tuning.recipes import ParameterPart, Recipe, make_recipe
from lunheng.tuning.release.merge import merge
from lunheng.tuning.trained import find_trained, open_base, open_trained

ROWS: list[dict[str, object]] = [
    {"instruction": f"第 {i % 5} 号门 Which?", "output": f"KESTREL-{i % 5} 号。"} for i in range(16)
]


def recipe(model: str, folder: Path, mode: str, **changes: Any) -> Recipe:
    data = write_jsonl(folder / "data.jsonl", ROWS)
    given: dict[str, Any] = {
        "method": "sft",
        "model": {"name": model},
        "data": {"train": str(data), "window": 128, "validation_share": 0.0},
        "parameters": {"mode": mode},
        "output": str(folder / "out"),
        "training": {"steps": 12, "batch": 2, "learning_rate": 3e-3},
    }
    return make_recipe(given, **changes)


def said(model: Any) -> Any:
    with torch.no_grad():
        return model.eval()(input_ids=torch.arange(5, 25)[None]).logits


def test_loftq_begins_with_less_lost(tiny_model: str) -> None:
    part = ParameterPart(mode="loftq", rank=16, alpha=8)
    original = load_base(tiny_model, ParameterPart(), torch.float32)
    quantised = said(load_base(tiny_model, part, torch.float32))
    model = wrap(load_base(tiny_model, part, torch.float32), part, 10)
    before, after = begin_as_lost(model, original)
    assert 0.05 < before < 0.2 and after < 0.8 * before
    far = [(given - said(original)).norm() for given in (quantised, said(model))]
    assert far[1] < far[0]
    # By the weights themselves, the scale that alpha makes included.
    layer, plain = (m.get_submodule("model.layers.0.mlp.up_proj") for m in (model.get_base_model(), original))
    import bitsandbytes

    weight = bitsandbytes.functional.dequantize_4bit(layer.weight.data, layer.weight.quant_state)
    error = (weight + layer.get_delta_weight("default") - plain.weight).norm() / plain.weight.norm()
    lost = (weight - plain.weight).norm() / plain.weight.norm()
    assert error < 0.8 * lost


@pytest.mark.parametrize("mode", ["adalora", "qadalora"])
def test_adalora_drops_ranks(tiny_model: str, tmp_path: Path, mode: str) -> None:
    trained = train(recipe(tiny_model, tmp_path, mode, **{"parameters.rank": 4, "training.steps": 20}))
    config = json.loads((trained.model / "adapter_config.json").read_text())
    ranks = [sum(kept) for kept in config["rank_pattern"].values()]
    modules = 2 * 7
    assert len(ranks) == modules and sum(ranks) == 4 * modules < 6 * modules and len(set(ranks)) > 1
    opened = open_trained(find_trained(trained.output))
    held = [p.shape[0] for name, p in opened.named_parameters() if ".lora_A." in name]
    assert sorted(held) == sorted(ranks), "what was dropped is not saved"


def test_adalora_pulls_towards_orthogonal_directions(tiny_model: str) -> None:
    from lunheng.tuning.adapters.adalora import Pruning

    part = ParameterPart(mode="adalora", rank=4)
    model = wrap(load_base(tiny_model, ParameterPart(), torch.float32), part, 20)
    tokens = torch.arange(5, 25)[None]
    learnt = [p for n, p in model.named_parameters() if "lora_A" in n or "lora_B" in n]
    with_pull = torch.autograd.grad(model(input_ids=tokens, labels=tokens).loss, learnt)  # as PEFT itself adds it
    pruning = Pruning(model, None)
    model(input_ids=tokens, labels=tokens).loss.backward()
    without = [p.grad.clone() for p in learnt]
    pruning.on_pre_optimizer_step(None, None, None)
    for parameter, wanted, plain in zip(learnt, with_pull, without, strict=True):
        assert torch.allclose(parameter.grad, wanted, atol=1e-6) and not torch.allclose(plain, wanted, atol=1e-4)


def test_adalora_needs_steps(tiny_model: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="prunes its ranks over the run, and 2 steps are too few"):
        train(recipe(tiny_model, tmp_path, "adalora", **{"training.steps": 2}))


def test_a_pissa_adapter_stands_on_the_base_as_it_is(tiny_model: str, tmp_path: Path) -> None:
    trained = train(recipe(tiny_model, tmp_path, "pissa", **{"parameters.rank": 4}))
    config = json.loads((trained.model / "adapter_config.json").read_text())
    assert config["init_lora_weights"] is True and config["r"] == 8
    found = find_trained(trained.output)
    opened = open_trained(found)
    with opened.disable_adapter():
        off = said(opened)
    assert torch.equal(off, said(open_base(found))), "with the adapter off, it is the base"
    assert not torch.allclose(said(opened), off, atol=1e-3)
    assert not (trained.output / "initial").exists()


@pytest.mark.parametrize(("method", "beside"), [("reward", "score"), ("sft", "embed_tokens")])
def test_what_pissa_trains_whole_is_saved_too(
    tiny_model: str, tmp_path: Path, method: str, beside: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lunheng.tuning.run import Run

    seen: list[Any] = []
    course = Run.train

    def watched(self: Run, trainer: Any, **options: Any) -> Any:
        seen.append(trainer.model)
        return course(self, trainer, **options)

    monkeypatch.setattr(Run, "train", watched)
    changes: dict[str, Any] = {"parameters.rank": 4, "training.steps": 4}
    if method == "reward":
        pairs = [{"prompt": f"第 {i} 号门?", "chosen": "第三章。", "rejected": "No idea."} for i in range(8)]
        changes |= {"method": "reward", "data.train": str(write_jsonl(tmp_path / "pairs.jsonl", pairs))}
    else:
        changes |= {"parameters.save_embeddings": True}
    trained = train(recipe(tiny_model, tmp_path, "pissa", **changes))
    found = find_trained(trained.output)
    head: Any = "score" if method == "reward" else "words"
    opened = open_trained(found, head)
    assert any(beside in name and "modules_to_save" in name for name, _ in opened.named_parameters())
    assert torch.allclose(said(opened), said(seen[0]), atol=1e-4)
    assert not torch.allclose(said(opened), said(open_base(found, head=head)), atol=1e-3)


def test_lora_plus_teaches_b_faster(tiny_model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lunheng.tuning.adapters import upkeep

    rates: dict[str, set[float]] = {"lora_A": set(), "lora_B": set()}
    tend = upkeep.tend

    def watched(run: Any, trainer: Any) -> None:
        tend(run, trainer)
        names = {id(p): name for name, p in trainer.model.named_parameters()}
        for group in trainer.optimizer.param_groups:
            for parameter in group["params"]:
                rates["lora_A" if "lora_A" in names[id(parameter)] else "lora_B"].add(group["lr"])

    monkeypatch.setattr("lunheng.tuning.run.tend", watched)
    train(recipe(tiny_model, tmp_path, "lora", **{"parameters.plus_ratio": 8, "training.steps": 2}))
    assert rates == {"lora_A": {3e-3}, "lora_B": {3e-3 * 8}}


@pytest.mark.parametrize("given", [None, True])
def test_embeddings_are_trained_where_tokens_were_added(tiny_model: str, tmp_path: Path, given: bool | None) -> None:
    import shutil

    base = tmp_path / "base"
    shutil.copytree(tiny_model, base)
    changes: dict[str, Any] = {"parameters.save_embeddings": True}
    if given is None:
        (base / "chat_template.jinja").unlink()
        changes = {"model.template": "llama3"}
    trained = train(recipe(str(base), tmp_path, "lora", **changes))
    found = find_trained(trained.output)
    opened, before = open_trained(found), open_base(found)
    # One matrix, read on the way in and on the way out.
    into, out = opened.get_input_embeddings().weight, opened.get_output_embeddings().weight
    assert torch.equal(into, out) and not torch.equal(into[:100], before.get_input_embeddings().weight[:100])


@pytest.mark.parametrize(("where", "each"), [("houlsby", 2), ("pfeiffer", 1)])
def test_bottlenecks(tiny_model: str, tmp_path: Path, where: str, each: int) -> None:
    trained = train(recipe(tiny_model, tmp_path, "bottleneck", **{"parameters.bottleneck": where}))
    opened = open_trained(find_trained(trained.output))
    assert sum(name.endswith("bottleneck_up.default.weight") for name, _ in opened.named_parameters()) == 2 * each
    assert trained.manifest.parameters["trained"] == 2 * each * (64 * 16 + 16 + 16 * 64 + 64)
    config = json.loads((trained.model / "adapter_config.json").read_text())
    assert config["peft_type"] == "BOTTLENECK" and config["size"] == 16
    with opened.disable_adapter():
        assert torch.equal(said(opened), said(open_base(find_trained(trained.output))))
    with pytest.raises(ModelError, match="not linear"):
        merge(find_trained(trained.output), tmp_path / "merged")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"parameters.mode": "prefix", "training.checkpointing": True}, "leave checkpointing out"),
        ({"parameters.mode": "ia3", "parameters.rank": 8}, "the mode ia3 does not know it"),
        ({"parameters.mode": "prompt", "parameters.save_embeddings": True}, "save_embeddings: the mode prompt"),
        ({"parameters.mode": "lora", "parameters.virtual_tokens": 8}, "is of prefix, prompt, ptuning"),
        ({"parameters.mode": "adalora", "parameters.plus_ratio": 8}, "plus_ratio: the mode adalora"),
        ({"parameters.mode": "bottleneck", "parameters.targets": "mlp"}, "targets: the mode bottleneck"),
    ],
)
def test_what_a_mode_does_not_know(changes: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=says):
        recipe("no model is looked for", tmp_path, "lora", **changes)
