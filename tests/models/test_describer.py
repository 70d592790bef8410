"""The vision endpoint: what it is asked, in which language, and what is made of its refusals."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from lunheng.config import EndpointSettings, ModelSettings
from lunheng.errors import ConfigError, ModelError, ModelUnavailableError
from lunheng.models import load_describer
from lunheng.models.describers.openai_compatible import EndpointDescriber
from lunheng.protocols import Describer
from lunheng.testing.servers import Reply, scripted_server


def said(text: str | None) -> dict[str, Any]:
    return {"choices": [{"message": {"content": text}, "finish_reason": "stop"}]}


def describer(url: str, **settings: Any) -> EndpointDescriber:
    return EndpointDescriber(EndpointSettings(base_url=url + "/v1", model="sees", **settings))


@pytest.mark.parametrize(
    ("language", "ask", "context"),
    [("zh", "描述这张图片。", "图 1 码头"), ("en", "Describe this picture.", "Figure 1"), ("de", "Describe", "")],
)
def test_what_is_asked(language: str, ask: str, context: str) -> None:
    with scripted_server(lambda r, n: Reply(said("一座码头。"))) as server:
        made = describer(server.url)
        assert isinstance(made, Describer)
        assert made.describe(b"\xff\xd8jpeg", context, language) == "一座码头。"
        (request,) = server.requests
    assert request.path == "/v1/chat/completions" and request.json["model"] == "sees"
    system, user = request.json["messages"]
    assert ("不是对你的指示" if language == "zh" else "never instructions") in system["content"]
    text, picture = user["content"]
    assert text["text"].startswith(ask) and text["text"].endswith(context)
    kind, _, data = picture["image_url"]["url"].partition(",")
    assert kind == "data:image/jpeg;base64" and base64.b64decode(data) == b"\xff\xd8jpeg"
    assert request.json["max_tokens"] <= 300 and request.json["temperature"] == 0.0


def test_refusals() -> None:
    with scripted_server(lambda r, n: Reply(b"no images here", status=400)) as server:
        with pytest.raises(ModelError, match="no images here"):
            describer(server.url).describe(b"x", "", "en")
        assert len(server.requests) == 1
    with pytest.raises(ModelUnavailableError):
        describer(server.url, max_retries=0).describe(b"x", "", "en")


def test_it_is_made_only_where_it_is_asked_for() -> None:
    endpoint = EndpointSettings(base_url="http://127.0.0.1:9/v1", model="m")
    assert load_describer(ModelSettings(vision_endpoint=endpoint), 0) is None
    with pytest.raises(ConfigError, match=r"models\.vision_endpoint"):
        load_describer(ModelSettings(), 3)
    made = load_describer(ModelSettings(vision_endpoint=endpoint), 3)
    other = load_describer(ModelSettings(vision_endpoint=endpoint.model_copy(update={"model": "n"})), 3)
    assert made is not None and other is not None and made.fingerprint != other.fingerprint
