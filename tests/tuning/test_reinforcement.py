"""PPO, GRPO and RLOO on a tiny model of bytes: the reward rises, only what is meant to changes, and it resumes exactly."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="needs the extra 'tune'")

from lunheng.errors import ConfigError, DataError, TrainingError
from lunheng.testing.tiny_model import make_byte_tokenizer, make_tiny_model, write_jsonl
from lunheng.tuning.callbacks import read_log
from lunheng.tuning.llm.policy import encoded
from lunheng.tuning.methods import train
from lunheng.tuning.recipes import Recipe, make_recipe
from lunheng.tuning.resuming import At
from lunheng.tuning.run import Run

METHODS = ["ppo", "grpo", "rloo"]


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny model whose first words are not all alike: with embeddings so small none would be likelier than another."""
    from transformers import AutoModelForCausalLM

    folder = make_tiny_model(tmp_path_factory.mktemp("policy"), make_byte_tokenizer(tmp_path_factory.mktemp("bytes")))
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.get_input_embeddings().weight.data *= 5
    model.save_pretrained(folder)
    return str(folder)


@pytest.fixture(autouse=True)
def _no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes as long as the training does here, and has its own test."""
    monkeypatch.setattr("lunheng.tuning.run.draw_curves", lambda *_: None)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "letters_reward.py").write_text(
        "def letters(prompt, completion, answer):\n"
        "    return sum('a' <= c <= 'z' for c in completion) / max(len(completion), 1)\n"
        "def picky(prompt, completion, answer):\n"
        "    raise KeyError('nothing pleases')\n",
        encoding="utf-8",
    )
    monkeypatch.chdir(tmp_path)
    rows: list[dict[str, object]] = [{"prompt": f"写 {i} 个字母 letters, {i % 7}"} for i in range(20)]
    return write_jsonl(tmp_path / "prompts.jsonl", rows)


def recipe(method: str, model: str, data: Path, output: Path, **changes: Any) -> Recipe:
    given: dict[str, Any] = {
        "method": method,
        "model": {"name": model},
        "data": {"train": str(data), "window": 128, "validation_share": 0.2},
        "output": str(output),
        "reward": {"functions": ["letters_reward:letters"], "samples": 4, "completion_tokens": 8, "kl": 0.01},
        "training": {"steps": 8, "batch": 16, "device_batch": 8, "schedule": "constant", "save_steps": 4},
    }
    if method == "ppo":
        given["ppo"] = {"epochs": 3, "missing_end_penalty": 0.0}
    return make_recipe(given, **changes)


def curve(output: Path, name: str) -> list[float]:
    return [entry[name] for entry in read_log(output / "log.jsonl") if name in entry]


@pytest.mark.parametrize("mode", ["lora", "full"])
@pytest.mark.parametrize("method", METHODS)
def test_the_reward_rises(
    policy: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, mode: str
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    from lunheng.tuning.trained import find_trained, open_tokenizer, open_trained

    seen: list[Any] = []
    course = Run.train
    monkeypatch.setattr(Run, "train", lambda run, trainer, **kw: seen.append(trainer) or course(run, trainer, **kw))
    steps, rate, batch = {
        ("ppo", "lora"): (75, 5e-3, 32),
        ("ppo", "full"): (36, 3e-3, 16),
        ("grpo", "full"): (14, 5e-3, 16),
        ("rloo", "full"): (14, 5e-3, 16),
    }.get((method, mode), (18, 1e-2, 16))
    changes = {
        "parameters.mode": mode,
        "training.learning_rate": rate,
        "training.steps": steps,
        "training.batch": batch,
    }
    changes |= {"training.save_steps": steps}
    trained = train(recipe(method, policy, data, tmp_path / "out", **changes))
    rewards = curve(trained.output, "reward")
    assert sum(rewards[-5:]) / 5 > sum(rewards[:3]) / 3 + 0.25, rewards
    made = trained.manifest
    assert made.metrics["reward"] > made.before["reward"] and made.metrics["completion_tokens"] <= 8
    kl = curve(trained.output, "kl")
    assert abs(kl[0]) < 1e-3 < kl[-1]

    (trainer,) = seen
    base = AutoModelForCausalLM.from_pretrained(policy).state_dict()
    if mode == "lora":
        assert {n.split(".")[-3] for n, p in trainer.model.named_parameters() if p.requires_grad} == {
            "lora_A",
            "lora_B",
        }
        kept = trainer.model.get_base_model().state_dict()
        for name, weight in base.items():
            place = name if name in kept else name.replace(".weight", ".base_layer.weight")
            assert torch.equal(kept[place], weight), name
        assert sorted(p.name for p in trained.model.iterdir() if p.is_dir()) == []
    else:
        assert not torch.equal(trainer.model.state_dict()["model.norm.weight"], base["model.norm.weight"])
    found = find_trained(trained.output)
    again, tokenizer = open_trained(found), open_tokenizer(found)
    ids = torch.tensor([tokenizer("写 letters 字母").input_ids])
    with torch.no_grad():
        assert torch.equal(again.eval()(ids).logits, trainer.model.eval()(ids).logits)


@pytest.mark.parametrize("method", METHODS)
def test_a_resumed_run_has_the_same_curve(policy: str, data: Path, tmp_path: Path, method: str) -> None:
    from safetensors.torch import load_file

    # Stopped where ppo is in the midst of learning from its completions, the others in the second epoch.
    changes: dict[str, Any] = {"training.steps": 7, "training.evaluate_steps": 3, "training.learning_rate": 3e-3}
    changes |= {"training.save_steps": 3}
    if method == "ppo":
        changes |= {
            "ppo.minibatches": 2,
            "training.batch": 8,
            "ppo.epochs": 2,
            "ppo.kl_target": 0.1,
            "ppo.kl_horizon": 100,
        }
    whole = train(recipe(method, policy, data, tmp_path / "whole", **changes))
    halved = recipe(method, policy, data, tmp_path / "halved", **changes)

    def stop_at_5(step: int, steps: int, text: str) -> None:
        if step == 5:
            os.kill(os.getpid(), signal.SIGTERM)

    stopped = train(halved, report=stop_at_5)
    assert stopped.manifest.status == "stopped" and 5 <= stopped.steps < 7
    resumed = train(halved, resume=True)
    assert resumed.manifest.status == "done" and resumed.steps == 7
    for name in ("loss", "reward", "kl", "eval_reward", "kl_coefficient", "value_loss"):
        assert curve(tmp_path / "halved", name) == curve(tmp_path / "whole", name), name
    assert len(curve(tmp_path / "whole", "reward")) == (2 if method == "ppo" else 7)
    assert resumed.manifest.metrics == whole.manifest.metrics
    one, other = (load_file(m / "adapter_model.safetensors") for m in (whole.model, resumed.model))
    assert one.keys() == other.keys() and all((one[k] == other[k]).all() for k in one)


@pytest.mark.parametrize("method", METHODS)
def test_over_a_base_in_four_bits(policy: str, data: Path, tmp_path: Path, method: str) -> None:
    changes = {"parameters.mode": "qlora", "training.steps": 2, "training.learning_rate": 1e-2}
    trained = train(recipe(method, policy, data, tmp_path / "out", **changes))
    assert trained.manifest.status == "done" and curve(trained.output, "reward")


@pytest.mark.parametrize("method", ["ppo", "grpo"])
def test_an_adapter_that_holds_a_part_of_the_base(policy: str, data: Path, tmp_path: Path, method: str) -> None:
    changes = {"parameters.mode": "pissa", "training.steps": 2, "training.learning_rate": 1e-3}
    trained = train(recipe(method, policy, data, tmp_path / "out", **changes))
    # Without its adapter it is not the base: taken for the reference, the first completions would have strayed already.
    assert abs(curve(trained.output, "kl")[0]) < 1e-3
    assert not (trained.model / "ref").exists()


def test_several_rewards_and_a_reward_model(policy: str, data: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from lunheng.tuning.data.examples import Turn
    from lunheng.tuning.llm.scoring import open_reward_model

    folder = tmp_path / "reward"
    AutoModelForSequenceClassification.from_pretrained(policy, num_labels=1).save_pretrained(folder)
    AutoTokenizer.from_pretrained(policy).save_pretrained(folder)
    model = open_reward_model(folder)
    assert len(set(model.score([[Turn("user", "你好 hello")]] * 2, ["您好", "bye"]))) == 2
    changes = {"training.steps": 3, "reward.model": str(folder), "reward.weights": [2.0, 0.5]}
    for method in ("ppo", "rloo"):
        trained = train(recipe(method, policy, data, tmp_path / method, **changes))
        first = next(entry for entry in read_log(trained.output / "log.jsonl") if "reward" in entry)
        assert first["reward"] == pytest.approx(
            2 * first["reward_letters"] + 0.5 * first["reward_reward_model"], abs=1e-5
        )
        assert trained.manifest.before["reward"] == pytest.approx(
            2 * trained.manifest.before["reward_letters"] + 0.5 * trained.manifest.before["reward_reward_model"]
        )


@pytest.mark.parametrize("method", ["ppo", "grpo"])
def test_a_reward_that_fails_ends_the_run(policy: str, data: Path, tmp_path: Path, method: str) -> None:
    made = recipe(method, policy, data, tmp_path / "out", **{"reward.functions": ["letters_reward:picky"]})
    with pytest.raises(TrainingError, match=r"letters_reward:picky .*prompts\.jsonl:.*nothing pleases"):
        train(made)


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"reward.completion_tokens": 128}, ConfigError, "no room for a prompt"),
        ({"data.window": 40}, DataError, 'say data.too_long = "drop"'),
        ({"data.window": 40, "data.too_long": "drop"}, DataError, "no prompt is left"),
        ({"training.batch": 400}, DataError, "fewer than the 100 of a step"),
        ({"reward.functions": ["exact_answer"]}, DataError, "exact_answer needs a reference answer"),
        ({"reward.model": "nowhere"}, Exception, "nowhere"),
    ],
)
def test_what_cannot_be_trained_on(
    policy: str, data: Path, tmp_path: Path, changes: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        train(recipe("grpo", policy, data, tmp_path / "out", **changes))


def test_a_prompt_over_the_window_goes_to_quarantine(policy: str, data: Path, tmp_path: Path) -> None:
    with data.open("a", encoding="utf-8") as file:
        file.write('{"prompt": "' + "长" * 60 + '"}\n')
    changes = {"data.too_long": "drop", "data.validation_share": 0.0, "training.steps": 1, "training.save_steps": 1}
    trained = train(recipe("rloo", policy, data, tmp_path / "out", **changes, **{"training.warmup_share": 0.0}))
    assert trained.manifest.examples == {"trained": 20, "held_out": 0, "left_out": 1}
    assert "leave room for a completion" in (trained.output / "quarantine.jsonl").read_text("utf-8")


def test_the_completions_that_ppo_learns_from(policy: str, data: Path, tmp_path: Path) -> None:
    """Read in rows of unequal length, every token has the probability that it has when its row is read alone."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainingArguments

    from lunheng.tuning.data.examples import Origin, Prompt, Turn
    from lunheng.tuning.llm.judge import make_judge
    from lunheng.tuning.llm.policy import Task
    from lunheng.tuning.llm.ppo_trainer import ProximalTrainer

    made = recipe("ppo", policy, data, tmp_path / "out", **{"reward.temperature": 0.7, "reward.samples": 2})
    assert made.reward is not None and made.ppo is not None
    prompts = tuple(Prompt(Origin("x", n), (Turn("user", text),)) for n, text in enumerate(["你好吗", "a", "bb c"], 1))
    task = Task(prompts, (), made.reward, make_judge(made.reward))
    tokenizer, model = AutoTokenizer.from_pretrained(policy), AutoModelForCausalLM.from_pretrained(policy)
    arguments = TrainingArguments(
        str(tmp_path), max_steps=6, per_device_train_batch_size=6, use_cpu=True, report_to="none", remove_unused_columns=False
    )  # fmt: skip
    trainer = ProximalTrainer(model, arguments, tokenizer, task, made.ppo)
    rollout = trainer._roll_out(0)
    assert rollout.mask.sum(1).min() >= 1 and (rollout.mask.sum(1) <= 8).all() and rollout.ids.shape[0] == 6
    for row, chosen in enumerate(trainer._chosen(0)):
        prompt = encoded(tokenizer, prompts[chosen])
        end = len(prompt) + int(rollout.mask[row].sum())
        assert rollout.ids[row, : len(prompt)].tolist() == prompt and rollout.attention[row].sum() == end
        with torch.no_grad():
            alone = (model(rollout.ids[row : row + 1, :end]).logits[0] / 0.7).log_softmax(-1)
        by_hand = [float(alone[t - 1, rollout.ids[row, t]]) for t in range(len(prompt), end)]
        assert rollout.logprobs[row][rollout.mask[row]].tolist() == pytest.approx(by_hand, abs=1e-4)
    assert rollout.advantages[rollout.mask].mean() == pytest.approx(0, abs=1e-5)
    # In two batches of three prompts (two each) all have been answered, in another order each time.
    assert len({tuple(trainer._chosen(n)) for n in range(6)}) > 1
    order = [n for number in range(3) for n in trainer._chosen(number)]
    assert sorted(order) == sorted([0, 1, 2] * (len(order) // 3))


@pytest.mark.slow
def test_a_real_model_learns_what_pays(real_model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "digits_reward.py").write_text(
        "def digits(prompt, completion, answer):\n"
        "    return sum(c.isdigit() for c in completion) / max(len(completion.strip()), 1)\n",
        encoding="utf-8",
    )
    monkeypatch.chdir(tmp_path)
    rows: list[dict[str, object]] = [{"prompt": f"What is {a} plus {b}?"} for a in range(3, 8) for b in range(2, 6)]
    data = write_jsonl(tmp_path / "sums.jsonl", rows)
    changes: dict[str, Any] = {"training.steps": 5, "training.batch": 8, "training.learning_rate": 1e-3}
    changes |= {"reward.functions": ["digits_reward:digits"], "reward.kl": 0.0, "data.validation_share": 0.1}
    trained = train(recipe("grpo", real_model, data, tmp_path / "out", **changes))
    rewards = curve(trained.output, "reward")
    assert sum(rewards[-2:]) > sum(rewards[:2]), rewards
    assert trained.manifest.metrics["reward"] > trained.manifest.before["reward"] + 0.05


@pytest.mark.parametrize(("method", "mode"), [("grpo", "adalora"), ("rloo", "qadalora"), ("grpo", "pissa")])
def test_modes_that_bear_no_second_adapter(policy: str, data: Path, tmp_path: Path, method: str, mode: str) -> None:
    """AdaLoRA allows one adapter and PiSSA changes the base: the reference is the base as it was, and 0 away at first."""
    import json

    # Every mode at a rate at which eight steps move it.
    changes = {"parameters.mode": mode, "parameters.rank": 4, "training.learning_rate": 0.03, "training.batch": 8}
    made = recipe(method, policy, data, tmp_path / "out", **changes)
    trained = train(made)
    away = curve(trained.output, "kl")
    assert away[0] == pytest.approx(0, abs=1e-5) and max(map(abs, away[1:])) > 3e-5
    config = json.loads((trained.model / "adapter_config.json").read_text())
    if mode == "pissa":
        assert config["init_lora_weights"] is True and config["r"] == 8
    else:
        ranks = [sum(kept) for kept in config["rank_pattern"].values()]
        assert len(ranks) == 14 and sum(ranks) == 4 * 14 < 6 * 14
    assert not (trained.model / "ref").exists()
    losses = curve(trained.output, "loss")
    train(made, resume=At(4))
    assert curve(trained.output, "loss") == losses and len(losses) == 8
