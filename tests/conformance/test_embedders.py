"""The embedder suite over every embedder that runs here."""

from lunheng.config import EndpointSettings
from lunheng.models.embedders.onnx import OnnxEmbedder
from lunheng.models.embedders.openai_compatible import EndpointEmbedder
from lunheng.testing.embedder import check_embedder, check_meaning
from lunheng.testing.fakes import FakeEmbedder
from lunheng.testing.real_models import EMBEDDER, model_folder, real_embedder


def test_fake() -> None:
    check_embedder(FakeEmbedder)


def test_onnx() -> None:
    def make() -> OnnxEmbedder:
        return OnnxEmbedder(
            model_folder(EMBEDDER), query_prefix="query: ", passage_prefix="passage: ", identity="e5", threads=2
        )

    check_embedder(make, tolerance=0)
    check_meaning(real_embedder())


def test_endpoint_of_openai_shape(embedding_server: str) -> None:
    settings = EndpointSettings(base_url=embedding_server, model="tiny", dimension=576, window=256)
    # The served model is a language model: its vectors mean little, but the contract is the same.
    check_embedder(lambda: EndpointEmbedder(settings), tolerance=1e-2)
