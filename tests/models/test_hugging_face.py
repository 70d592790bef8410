"""The provider over folders in Hugging Face's form: the contract, likelihoods against plain sums, adapters, errors."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from lunheng.config import ModelSettings
from lunheng.errors import ConfigError, MissingExtraError, ModelError
from lunheng.models import load_llm
from lunheng.models.llms.hugging_face import HuggingFaceLLM, find_model_folder
from lunheng.models.llms.hugging_face.stopping import Cut
from lunheng.models.llms.llamacpp import LlamaCppLLM
from lunheng.protocols import LLM, LikelihoodModel
from lunheng.testing.llm import check_llm
from lunheng.testing.real_models import TINY_LLM, model_folder
from lunheng.types import Message

torch = pytest.importorskip("torch", reason="needs the extra 'tune'")
pytest.importorskip("trl", reason="needs the extra 'tune'")

TEXTS = ("The backup starts at night.", "夜间备份于凌晨两点半开始。", "用 Python 3.11 跑 nightly 备份。")


@pytest.fixture(scope="module")
def real() -> str:
    from lunheng.tuning.bases import base_folder

    model_folder(TINY_LLM)
    return base_folder(TINY_LLM)


@pytest.fixture(scope="module")
def tiny(real: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from lunheng.testing.tiny_model import make_tiny_model

    return make_tiny_model(tmp_path_factory.mktemp("tiny"), real)


@pytest.fixture(scope="module")
def llm(tiny: Path) -> HuggingFaceLLM:
    opened = HuggingFaceLLM(tiny, threads=1)
    opened.encode("")
    return opened


@pytest.mark.slow
def test_keeps_the_contract_of_a_language_model(real: str) -> None:
    opened = HuggingFaceLLM(real, threads=1, window=512)
    assert isinstance(opened, LLM) and isinstance(opened, LikelihoodModel)
    first = iter([opened])
    check_llm(lambda: next(first, None) or HuggingFaceLLM(real))


def test_likelihoods_are_those_of_the_plain_model(llm: HuggingFaceLLM, tiny: Path) -> None:
    from transformers import AutoModelForCausalLM

    plain = AutoModelForCausalLM.from_pretrained(tiny).eval()
    start = llm._tokenizer.bos_token_id
    for text in TEXTS:
        ids = [start, *llm.encode(text)]
        with torch.inference_mode():
            table = plain(torch.tensor([ids])).logits[0].double().log_softmax(-1)
        expected = [float(table[at, token]) for at, token in enumerate(ids[1:])]
        assert llm.token_log_probabilities([ids[1:]])[0] == pytest.approx(expected, abs=1e-4)
        cut = len(llm.encode(text[:6]))
        if llm.encode(text)[:cut] == llm.encode(text[:6]):
            found = llm.log_likelihoods([(text[:6], text[6:])])[0]
            assert found.log_probability == pytest.approx(sum(expected[cut:]), abs=1e-3)
            assert found.tokens == len(ids) - 1 - cut


def test_a_batch_says_what_each_text_says_alone(llm: HuggingFaceLLM) -> None:
    pairs = [(text[:8], text[8:]) for text in TEXTS] + [("The capital of France is", w) for w in (" A", " B", " 巴黎")]
    together = llm.log_likelihoods(pairs)
    for pair, found in zip(pairs, together, strict=True):
        alone = llm.log_likelihoods([pair])[0]
        assert (found.tokens, found.greedy) == (alone.tokens, alone.greedy)
        assert found.log_probability == pytest.approx(alone.log_probability, abs=1e-4)
    sequences = [llm.encode(text) for text in TEXTS] + [[]]
    for sequence, found in zip(sequences, llm.token_log_probabilities(sequences), strict=True):
        assert found.shape == (len(sequence),) and np.all(found < 0)


def test_greedy_is_true_of_what_the_model_itself_writes(llm: HuggingFaceLLM) -> None:
    messages = (Message("user", "备份 backup"),)
    prompt = llm._tokenizer.apply_chat_template(
        [{"role": "user", "content": "备份 backup"}], tokenize=False, add_generation_prompt=True
    )
    ids = llm.encode(prompt)
    written = llm._open_model().generate(torch.tensor([ids]), max_new_tokens=1, do_sample=False)[0, -1].item()
    word = llm._tokenizer.decode([written])
    assert llm.generate(messages, max_tokens=1).text in (word, "")
    best = llm.token_log_probabilities([[*ids, written]])[0][-1]
    other = llm.token_log_probabilities([[*ids, (written + 1) % 1000]])[0][-1]
    assert best > other
    found = [llm.log_likelihoods([("甲乙", w)])[0] for w in ("丙", " a", "。")]
    assert all(math.isfinite(f.log_probability) for f in found)


def test_too_long_and_empty_texts(llm: HuggingFaceLLM) -> None:
    assert llm.window == 512
    with pytest.raises(ModelError, match="window is 512"):
        llm.token_log_probabilities([[5] * 600])
    with pytest.raises(ModelError, match="empty"):
        llm.log_likelihoods([("a", "")])
    cut = llm.log_likelihoods([("word " * 600 + "the", " end")])[0]
    assert cut.tokens == 1, "the prompt loses its beginning"


def test_an_adapter_is_read_over_its_base_and_says_something_else(
    llm: HuggingFaceLLM, tiny: Path, tmp_path: Path
) -> None:
    import peft
    from transformers import AutoModelForCausalLM

    torch.manual_seed(1)
    base = AutoModelForCausalLM.from_pretrained(tiny)
    model = peft.get_peft_model(
        base, peft.LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM")
    )
    run = tmp_path / "run"
    model.save_pretrained(run / "model")
    adapted = HuggingFaceLLM(run)
    assert adapted.name == "run" and adapted.fingerprint != llm.fingerprint and adapted.window == llm.window
    ids = [llm._tokenizer.bos_token_id, *llm.encode(TEXTS[2])]
    with torch.inference_mode():
        table = model.eval()(torch.tensor([ids])).logits[0].double().log_softmax(-1)
    expected = [float(table[at, token]) for at, token in enumerate(ids[1:])]
    assert adapted.token_log_probabilities([ids[1:]])[0] == pytest.approx(expected, abs=1e-4)
    assert not np.allclose(expected, llm.token_log_probabilities([ids[1:]])[0], atol=1e-2)

    config = run / "model" / "adapter_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "base_model_name_or_path": "gone/model"}))
    with pytest.raises(ModelError, match="gone/model is not here"):
        find_model_folder(run)


def test_an_adapter_trained_over_four_bits_is_read_over_four_bits(
    llm: HuggingFaceLLM, tiny: Path, tmp_path: Path
) -> None:
    pytest.importorskip("bitsandbytes", reason="needs the extra 'tune'")
    import peft
    from transformers import AutoModelForCausalLM

    model = peft.get_peft_model(
        AutoModelForCausalLM.from_pretrained(tiny), peft.LoraConfig(r=4, target_modules="all-linear")
    )
    model.save_pretrained(tmp_path / "model")  # a new adapter adds nothing: what differs is the base
    (tmp_path / "manifest.json").write_text(json.dumps({"mode": "qlora", "base_folder": str(tiny)}))
    adapted = HuggingFaceLLM(tmp_path / "model")
    assert adapted.name == tmp_path.name
    ids = llm.encode(TEXTS[2])
    found, plain = adapted.token_log_probabilities([ids])[0], llm.token_log_probabilities([ids])[0]
    kinds = {type(module).__name__ for module in adapted._open_model().modules()}
    assert "Linear4bit" in kinds
    assert not np.allclose(found, plain, atol=1e-5) and np.allclose(found, plain, atol=1.0), "rounded, not another"


def test_prompt_tuning_has_places_of_its_own_before_the_text(tiny: Path, tmp_path: Path) -> None:
    import peft
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(tiny)
    peft.get_peft_model(base, peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3)).save_pretrained(
        tmp_path
    )
    llm = HuggingFaceLLM(tmp_path)
    assert len(llm.token_log_probabilities([llm.encode(TEXTS[1])])[0]) == llm.count(TEXTS[1])
    assert llm.generate((Message("user", "你好"),), max_tokens=4).completion_tokens <= 4


def test_names_paths_and_folders_all_load(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gguf = model_folder(TINY_LLM) / "model.gguf"
    assert isinstance(load_llm(ModelSettings(llm=str(gguf))), LlamaCppLLM)
    assert isinstance(load_llm(ModelSettings(llm=str(gguf.parent))), LlamaCppLLM)
    assert isinstance(load_llm(ModelSettings(llm=TINY_LLM)), LlamaCppLLM)
    assert isinstance(load_llm(ModelSettings(llm=str(tiny))), HuggingFaceLLM)
    monkeypatch.chdir(tmp_path)
    (tmp_path / TINY_LLM).symlink_to(tiny)
    assert isinstance(load_llm(ModelSettings(llm=TINY_LLM)), LlamaCppLLM), "a name comes before a folder"
    assert isinstance(load_llm(ModelSettings(llm=f"./{TINY_LLM}")), HuggingFaceLLM)


def test_no_template_no_model_no_torch(
    llm: HuggingFaceLLM, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(llm._tokenizer, "chat_template", None)
        with pytest.raises(ModelError, match="no chat template"):
            llm.generate((Message("user", "a"),))
    for bad, says in ((tmp_path, "neither config.json"), (tmp_path / "x.gguf", "no such"), (tmp_path / "y", "no such")):
        with pytest.raises(ModelError, match=says):
            load_llm(ModelSettings(llm=str(bad)))
    with pytest.raises((ModelError, ConfigError), match="nonesuch"):
        load_llm(ModelSettings(llm="nonesuch"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="tune"):
        HuggingFaceLLM(tiny)


def test_stop_strings_that_come_in_pieces_are_held_back() -> None:
    class Ids:
        """One row of token ids, as much of a tensor as is used here."""

        shape = (1, 0)
        device = "cpu"

        def __init__(self, upto: int) -> None:
            self.upto = upto

        def __getitem__(self, _: object) -> Ids:
            return self

        def tolist(self) -> list[int]:
            return list(range(self.upto))

    letters = "你好 END. 世界"
    given: list[str] = []

    def take(piece: str) -> bool:
        given.append(piece)
        return False

    cut = Cut(lambda ids: letters[: len(ids)], 0, ["END", "不"], take)
    done = [bool(cut(Ids(n), None)[0]) for n in range(1, len(letters) + 1)]
    assert done.index(True) == letters.index("END") + 2
    assert cut.finish(list(range(len(letters)))) == "你好 " == "".join(given)


@pytest.mark.slow
def test_a_real_model_knows_more_than_chance(real: str) -> None:
    llm = HuggingFaceLLM(real, threads=1)
    right, wrong = llm.log_likelihoods([("The capital of France is", " Paris"), ("The capital of France is", " seven")])
    assert right.log_probability > wrong.log_probability + 3
    answer = llm.generate((Message("user", "What is the capital of France?"),), max_tokens=20)
    assert "Paris" in answer.text
    assert (
        "Paris"
        not in llm.generate((Message("user", "What is the capital of France?"),), max_tokens=20, stop=["Pa"]).text
    )
