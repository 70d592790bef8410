"""The language model suite over every provider that runs here."""

from lunheng.config import EndpointSettings
from lunheng.models.llms.llamacpp import LlamaCppLLM
from lunheng.models.llms.openai_compatible import OpenAICompatibleLLM
from lunheng.testing.fakes import FakeLLM
from lunheng.testing.llm import check_counts, check_llm, check_threads
from lunheng.testing.real_models import TINY_LLM, model_folder


def test_fake() -> None:
    words = "one two three four five"
    llm = FakeLLM(replies=[words])
    check_counts(llm)
    check_threads(llm)
    check_llm(
        lambda: FakeLLM(replies=[lambda m: '{"colour": "red", "count": 3}' if "JSON" in m[-1].content else words])
    )


def test_llamacpp() -> None:
    path = model_folder(TINY_LLM) / "model.gguf"
    check_llm(lambda: LlamaCppLLM(path, identity="smollm2", threads=2, window=512))


def test_openai_compatible(chat_server: str) -> None:
    settings = EndpointSettings(base_url=chat_server, model="tiny", window=512)
    check_llm(lambda: OpenAICompatibleLLM(settings))
