"""The reranker suite over every reranker that runs here."""

from pathlib import Path

from lunheng.models.rerankers.late_interaction import LateInteractionReranker
from lunheng.models.rerankers.onnx import OnnxReranker
from lunheng.testing.fakes import FakeEmbedder, FakeReranker
from lunheng.testing.real_models import real_embedder
from lunheng.testing.reranker import check_relevance, check_reranker


def test_fake() -> None:
    check_reranker(FakeReranker)
    check_relevance(FakeReranker())


def test_late_interaction() -> None:
    check_reranker(lambda: LateInteractionReranker(real_embedder()))
    check_relevance(LateInteractionReranker(real_embedder()))
    check_reranker(lambda: LateInteractionReranker(FakeEmbedder()))


def test_onnx_cross_encoder(cross_encoder_folder: Path) -> None:
    check_reranker(lambda: OnnxReranker(cross_encoder_folder, threads=2))
    check_relevance(OnnxReranker(cross_encoder_folder, threads=2))
