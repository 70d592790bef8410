"""Names in the settings to objects; errors that name the command."""

import subprocess
import sys
from pathlib import Path

import pytest

from lunheng.config import EndpointSettings, ModelSettings
from lunheng.errors import ConfigError, ModelError
from lunheng.models import load_embedder, load_llm, load_reranker
from lunheng.models.embedders.onnx import OnnxEmbedder
from lunheng.models.embedders.openai_compatible import EndpointEmbedder
from lunheng.models.llms.llamacpp import LlamaCppLLM
from lunheng.models.llms.openai_compatible import OpenAICompatibleLLM
from lunheng.models.rerankers.late_interaction import LateInteractionReranker
from lunheng.models.rerankers.onnx import OnnxReranker
from lunheng.testing.cross_encoder import write_cross_encoder
from lunheng.testing.fakes import FakeEmbedder, FakeReranker
from lunheng.testing.real_models import EMBEDDER, TINY_LLM, model_folder, real_embedder
from lunheng.testing.servers import Reply, scripted_server


def test_registry_names() -> None:
    model_folder(TINY_LLM)
    embedder = real_embedder()
    assert isinstance(embedder, OnnxEmbedder) and (embedder.dimension, embedder.window) == (384, 512)
    llm = load_llm(ModelSettings(llm=TINY_LLM))
    assert isinstance(llm, LlamaCppLLM) and llm.window == 4096
    assert load_llm(ModelSettings(llm="none")) is None
    assert load_reranker(ModelSettings(reranker="none"), embedder) is None
    assert isinstance(load_reranker(ModelSettings(reranker="late-interaction"), embedder), LateInteractionReranker)


def test_endpoints() -> None:
    served = EndpointSettings(base_url="http://127.0.0.1:9/v1", model="BAAI/bge-m3")
    assert isinstance(load_llm(ModelSettings(llm="endpoint", llm_endpoint=served)), OpenAICompatibleLLM)
    embedder = load_embedder(ModelSettings(embedder="endpoint", embedder_endpoint=served))
    assert isinstance(embedder, EndpointEmbedder)
    assert (embedder.dimension, embedder.window) == (1024, 8192), "the registry knows what is served"
    with pytest.raises(ConfigError, match="llm_endpoint"):
        load_llm(ModelSettings(llm="endpoint"))


def test_served_model_gets_its_prefix() -> None:
    with scripted_server(lambda r, n: Reply({"data": [{"index": 0, "embedding": [1.0] * 1024}]})) as server:
        served = EndpointSettings(base_url=server.url, model="bge-large-zh-v1.5")
        load_embedder(ModelSettings(embedder="endpoint", embedder_endpoint=served)).embed(["备份"], "query")
        assert server.requests[0].json["input"] == ["为这个句子生成表示以用于检索相关文章：备份"]


def test_your_own() -> None:
    assert isinstance(load_embedder(ModelSettings(embedder="lunheng.testing.fakes:FakeEmbedder")), FakeEmbedder)
    own = load_reranker(ModelSettings(reranker="lunheng.testing.fakes:FakeReranker"), FakeEmbedder())
    assert isinstance(own, FakeReranker)
    for name in ("no.such:Thing", "lunheng.testing.fakes:Nothing"):
        with pytest.raises(ConfigError, match="cannot be imported"):
            load_embedder(ModelSettings(embedder=name))
    with pytest.raises(ConfigError, match="lacks methods of Embedder"):
        load_embedder(ModelSettings(embedder="lunheng.testing.fakes:FakeReranker"))


def test_what_is_not_here_names_the_command(empty_cache: Path) -> None:
    with pytest.raises(ModelError, match="lunheng models pull multilingual-e5-small"):
        load_embedder(ModelSettings())
    with pytest.raises(ModelError, match="lunheng models pull bge-reranker-base"):
        load_reranker(ModelSettings(reranker="bge-reranker-base"), FakeEmbedder())
    with pytest.raises(ModelError, match="is served by an endpoint"):
        load_embedder(ModelSettings(embedder="text-embedding-3-large"))
    with pytest.raises(ModelError, match="is a llm and a embedder was asked for"):
        load_embedder(ModelSettings(embedder=TINY_LLM))


def test_reranker_from_your_own_registry_pulled_when_needed(empty_cache: Path, tmp_path: Path) -> None:
    """A folder of one's own, auto_pull, and the ONNX cross-encoder: all the way."""
    import os

    shared = os.environ.pop("LUNHENG_CACHE")
    try:
        source = write_cross_encoder(model_folder(EMBEDDER), tmp_path / "trained")
    finally:
        os.environ["LUNHENG_CACHE"] = shared
    own = tmp_path / "own.toml"
    names = ", ".join(f'{{ path = "{n}", name = "{n}" }}' for n in ("model.onnx", "tokenizer.json"))
    own.write_text(
        '[models.mine]\ntask = "reranker"\nformat = "onnx"\nlicence = "Apache-2.0"\nwindow = 512\n'
        f'[[models.mine.places]]\nkind = "folder"\npath = "{source}"\nfiles = [{names}]\n'
    )
    settings = ModelSettings(reranker="mine", registry=own, auto_pull=True)
    reranker = load_reranker(settings, FakeEmbedder())
    assert isinstance(reranker, OnnxReranker)
    scores = reranker.score("备份保留多久？", ["博物馆周一闭馆。", "备份保留三十五天。"])
    assert scores[1] > scores[0]


def test_importing_the_room_is_light() -> None:
    code = (
        "import sys, lunheng.models; print([m for m in "
        "('onnxruntime', 'onnx', 'tokenizers', 'xllamacpp', 'httpx', 'torch', 'tenacity') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
