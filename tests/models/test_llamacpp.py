"""What the in-process model does beyond the contract: Chinese, cached prompts, memory, errors."""

import threading
from pathlib import Path

import numpy as np
import pytest

from lunheng.errors import ModelError
from lunheng.models.llms.llamacpp import LlamaCppLLM
from lunheng.protocols import LikelihoodModel
from lunheng.testing.real_models import TINY_LLM, model_folder, small_llm
from lunheng.types import Message


def test_answers_from_a_source_in_both_languages() -> None:
    llm = small_llm()
    source = "[1] 夜间备份于凌晨两点半开始，保留三十五天。Nightly backups start at 02:30 and are kept for 35 days."
    for question, expected in (("备份保留多少天？", "三十五 35"), ("For how many days are backups kept?", "35")):
        asked = (
            Message("system", "Answer in a few words from the source."),
            Message("user", f"{source}\n\n{question}"),
        )
        text = llm.generate(asked, max_tokens=40).text
        assert any(word in text for word in expected.split()), text


def test_a_prompt_with_the_same_beginning_is_read_only_from_where_it_differs() -> None:
    llm = small_llm()
    sources = Message("system", "Sources: " + "夜间备份于凌晨两点半开始，保留三十五天。" * 10)
    shares: list[float] = []
    for question in ("备份几点开始？", "保留多少天？"):
        payload = llm._payload((sources, Message("user", question)), (), 1, 0.0)
        usage = [c["usage"] for c in llm._chunks(payload) if c.get("usage")][-1]
        shares.append(usage["prompt_tokens_details"]["cached_tokens"] / usage["prompt_tokens"])
    assert shares[1] > 0.8, f"only {shares[1]:.0%} of the prompt came from the cache"


def test_nothing_is_loaded_before_it_is_used_and_closing_gives_it_back() -> None:
    llm = LlamaCppLLM(model_folder(TINY_LLM) / "model.gguf", threads=1, window=256)
    assert llm._server is None
    assert llm.count("hello world") == 2
    llm.close()
    assert llm._server is None
    assert llm.generate((Message("user", "Hi"),), max_tokens=3).completion_tokens <= 3, "it loads again"
    llm.close()


def test_server_of_llamacpp_needs_its_key() -> None:
    import httpx

    llm = LlamaCppLLM(model_folder(TINY_LLM) / "model.gguf", threads=1, window=256)
    llm.count("a")
    address = llm._server.listening_address
    assert address.startswith("http://127.0.0.1:")
    for path in ("/tokenize", "/v1/chat/completions", "/completion"):
        assert httpx.post(address + path, json={"content": "a"}, trust_env=False).status_code == 401
    llm.close()


def test_two_readers_do_not_block_one_another() -> None:
    llm = small_llm()
    left = llm.stream((Message("user", "Tell a story."),), max_tokens=200)
    next(left)
    done: list[str] = []
    other = threading.Thread(target=lambda: done.append(llm.generate((Message("user", "Hi"),), max_tokens=2).text))
    other.start()
    left.close()  # type: ignore[attr-defined]
    other.join(60)
    assert done, "the second caller still waits"


def test_missing_and_damaged_files(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="models pull"):
        LlamaCppLLM(tmp_path / "gone.gguf")
    (tmp_path / "bad.gguf").write_bytes(b"GGUF" + bytes(1000))
    with pytest.raises(ModelError, match="cannot load"):
        LlamaCppLLM(tmp_path / "bad.gguf").generate((Message("user", "a"),))


def test_likelihoods_token_by_token() -> None:
    llm = LlamaCppLLM(model_folder(TINY_LLM) / "model.gguf", threads=1, window=64)
    assert isinstance(llm, LikelihoodModel)
    right, wrong, rare = llm.log_likelihoods([("The capital of France is", w) for w in (" Paris", " seven", " 北")])
    assert right.tokens == wrong.tokens == 1 and right.greedy and not wrong.greedy
    assert right.log_probability > -1 > wrong.log_probability and rare.log_probability < wrong.log_probability
    assert sum(np.exp(list(llm.next_logprobs(llm.encode("中国的首都"), 100_000).values()))) == pytest.approx(
        1, abs=1e-3
    )
    for half in llm.encode("中国的首都是北京。"):  # tokens of which some are half a character
        assert len(llm.next_logprobs([1, half], 5)) == 5
    tokens = llm.encode("The capital of France is Paris")
    logs = llm.token_log_probabilities([tokens, []])
    assert logs[0].shape == (len(tokens),) and logs[1].shape == (0,)
    assert logs[0][-1] == pytest.approx(right.log_probability, abs=0.02)
    with pytest.raises(ModelError, match="window is 64"):
        llm.token_log_probabilities([tokens * 20])
    with pytest.raises(ModelError, match="empty"):
        llm.log_likelihoods([("a", "")])
    llm.close()
