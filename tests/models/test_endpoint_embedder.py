"""What the endpoint embedder does beyond the contract: both shapes, batches, wrong answers."""

from typing import Any

import numpy as np
import pytest

from lunheng.config import EndpointSettings
from lunheng.errors import DimensionError, ModelError, ModelUnavailableError
from lunheng.models.embedders.openai_compatible import EndpointEmbedder
from lunheng.testing.servers import Reply, Request, scripted_server


def vectors_for(request: Request) -> list[list[float]]:
    texts = request.json.get("input") or request.json["texts"]
    return [[float(len(t)), 1.0, 0.0] for t in texts]


def openai_shape(request: Request, number: int) -> Reply:
    rows = [{"index": i, "embedding": v} for i, v in enumerate(vectors_for(request))]
    return Reply({"data": list(reversed(rows)), "model": "m"})


def test_openai_shape_in_any_order_batched_and_deduplicated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "k-123")
    with scripted_server(openai_shape) as server:
        settings = EndpointSettings(base_url=server.url + "/v1", model="m", dimension=3, api_key_env="MY_KEY")
        embedder = EndpointEmbedder(settings, query_prefix="Q: ")
        texts = [f"文{'本' * (i % 90)}" for i in range(180)]
        vectors = embedder.embed(texts, "query")
        requests = server.requests
    for text, vector in zip(texts, vectors, strict=True):
        expected = np.array([len("Q: " + text), 1.0, 0.0])
        assert np.allclose(vector, expected / np.linalg.norm(expected), atol=1e-6)
    assert [r.path for r in requests] == ["/v1/embeddings"] * 2, "90 different texts, 64 a request"
    assert sum(len(r.json["input"]) for r in requests) == 90
    assert all(t.startswith("Q: ") for r in requests for t in r.json["input"])
    assert requests[0].headers["authorization"] == "Bearer k-123"


def test_cohere_shape_tells_query_from_passage() -> None:
    with scripted_server(lambda r, n: Reply({"embeddings": {"float": vectors_for(r)}})) as server:
        settings = EndpointSettings(
            base_url=server.url + "/v2", model="embed-multilingual-v3.0", dimension=3, shape="cohere"
        )
        embedder = EndpointEmbedder(settings)
        embedder.embed(["备份"], "query")
        embedder.embed(["备份"], "passage")
        assert [r.path for r in server.requests] == ["/v2/embed"] * 2
        assert [r.json["input_type"] for r in server.requests] == ["search_query", "search_document"]
        assert server.requests[0].json["embedding_types"] == ["float"]


def test_texts_over_the_servers_window_are_cut_before_they_are_sent(caplog: pytest.LogCaptureFixture) -> None:
    with scripted_server(openai_shape) as server:
        settings = EndpointSettings(base_url=server.url, model="m", dimension=3, window=50)
        EndpointEmbedder(settings).embed(["字" * 500, "short"], "passage")
        assert max(len(t) for t in server.requests[0].json["input"]) <= 50
    assert "longer than the window of 50" in caplog.text


@pytest.mark.parametrize(
    ("body", "error", "said"),
    [
        ({"data": [{"index": 0, "embedding": [1.0, 2.0]}]}, DimensionError, "Set it to 2"),
        ({"data": []}, ModelError, "0 vectors came back for 1 texts"),
        ({"result": "?"}, ModelError, "another shape"),
        (b"<html>", ModelError, "not JSON"),
        ({"data": [{"index": 0, "embedding": [1.0, 2.0, 1e39]}]}, ModelError, "not finite"),
    ],
)
def test_wrong_answers_are_named(body: Any, error: type[Exception], said: str) -> None:
    with scripted_server(lambda r, n: Reply(body)) as server:
        embedder = EndpointEmbedder(EndpointSettings(base_url=server.url, model="m", dimension=3))
        with pytest.raises(error, match=said):
            embedder.embed(["a"], "query")


def test_server_that_is_down_is_retryable() -> None:
    embedder = EndpointEmbedder(
        EndpointSettings(base_url="http://127.0.0.1:9/v1", model="m", dimension=3, max_retries=0)
    )
    with pytest.raises(ModelUnavailableError, match="Is the server up") as caught:
        embedder.embed(["a"], "query")
    assert caught.value.retryable


def test_dimension_must_be_known() -> None:
    with pytest.raises(ModelError, match="dimension"):
        EndpointEmbedder(EndpointSettings(base_url="http://127.0.0.1:9/v1", model="m"))
