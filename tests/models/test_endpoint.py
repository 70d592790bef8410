"""The chat endpoint when the server misbehaves: retries, waits, timeouts, streams that break."""

import json
import time
from typing import Any

import pytest

from lunheng.config import EndpointSettings
from lunheng.errors import ModelError, ModelUnavailableError
from lunheng.models.llms.openai_compatible import OpenAICompatibleLLM
from lunheng.testing.servers import Reply, scripted_server
from lunheng.types import Message

ASK = (Message("system", "Be short."), Message("user", "问题？"))
GOOD: dict[str, Any] = {
    "model": "served",
    "choices": [{"message": {"content": "答案 [1]。"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 4},
}


def sse(*events: dict[str, Any] | str) -> Reply:
    lines = [f"data: {e if isinstance(e, str) else json.dumps(e)}\n\n" for e in events]
    return Reply(b": a comment\n\n" + "".join(lines).encode(), headers={"Content-Type": "text/event-stream"})


def piece(text: str) -> dict[str, Any]:
    return {"choices": [{"delta": {"content": text}}]}


def llm(url: str, **settings: Any) -> OpenAICompatibleLLM:
    return OpenAICompatibleLLM(EndpointSettings(base_url=url + "/v1/", model="m", **settings))


def test_answer_and_what_was_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    with scripted_server(lambda r, n: Reply(GOOD)) as server:
        answer = llm(server.url).generate(ASK, stop=["\n"], max_tokens=7, schema={"type": "object"})
        asked = server.requests[0]
    assert (answer.text, answer.model, answer.prompt_tokens, answer.completion_tokens) == ("答案 [1]。", "served", 9, 4)
    assert asked.path == "/v1/chat/completions"
    assert asked.headers["authorization"] == "Bearer k"
    assert asked.json["messages"] == [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "问题？"},
    ]
    assert (asked.json["max_tokens"], asked.json["stop"], asked.json["temperature"]) == (7, ["\n"], 0.0)
    assert asked.json["response_format"]["json_schema"]["schema"] == {"type": "object"}


@pytest.mark.parametrize("status", [429, 500, 502, 503, 408])
def test_passing_refusals_are_tried_again(status: int) -> None:
    refusal = Reply(b"busy", status=status, headers={"Retry-After": "0"})
    with scripted_server(lambda r, n: refusal if n < 2 else Reply(GOOD)) as server:
        assert llm(server.url).generate(ASK).text == "答案 [1]。"
        assert len(server.requests) == 3


def test_retry_after_is_waited_for() -> None:
    times: list[float] = []

    def answer(request: Any, number: int) -> Reply:
        times.append(time.monotonic())
        return Reply(status=429, headers={"Retry-After": "1.2"}) if number == 0 else Reply(GOOD)

    with scripted_server(answer) as server:
        llm(server.url).generate(ASK)
    assert times[1] - times[0] >= 1.2


def test_attempts_end() -> None:
    with scripted_server(lambda r, n: Reply(b"overloaded", status=503, headers={"Retry-After": "0"})) as server:
        with pytest.raises(ModelUnavailableError, match="503 overloaded") as caught:
            llm(server.url, max_retries=2).generate(ASK)
        assert len(server.requests) == 3
    assert caught.value.retryable


@pytest.mark.parametrize(("status", "said"), [(401, "OPENAI_API_KEY"), (404, "base_url"), (400, "too long")])
def test_lasting_refusals_are_not_tried_again(status: int, said: str) -> None:
    with scripted_server(lambda r, n: Reply(b"too long", status=status)) as server:
        with pytest.raises(ModelError, match=said) as caught:
            llm(server.url).generate(ASK)
        assert len(server.requests) == 1
    assert not caught.value.retryable


def test_timeout_is_named_and_retryable() -> None:
    with (
        scripted_server(lambda r, n: Reply(GOOD, delay=1.0)) as server,
        pytest.raises(ModelUnavailableError, match=r"no answer within 0\.2 s"),
    ):
        llm(server.url, timeout_seconds=0.2, max_retries=0).generate(ASK)


def test_dropped_connection_is_tried_again() -> None:
    with scripted_server(lambda r, n: Reply(GOOD, cut_after=10 if n == 0 else None)) as server:
        assert llm(server.url).generate(ASK).text == "答案 [1]。"


def test_stream_in_pieces() -> None:
    with scripted_server(lambda r, n: sse(piece("答"), {"choices": []}, piece("案"), "[DONE]", piece("!"))) as server:
        assert list(llm(server.url).stream(ASK)) == ["答", "案"]
        assert server.requests[0].json["stream"] is True


def test_stream_is_retried_before_its_first_event_only() -> None:
    busy = Reply(status=503, headers={"Retry-After": "0"})
    with scripted_server(lambda r, n: busy if n == 0 else sse(piece("好"), "[DONE]")) as server:
        assert list(llm(server.url).stream(ASK)) == ["好"]
    whole = sse(piece("答"), piece("案"), "[DONE]")
    half = Reply(whole.body, headers=whole.headers, cut_after=len(whole.bytes()) - 20)
    with scripted_server(lambda r, n: half) as server:
        stream = llm(server.url).stream(ASK)
        assert next(stream) == "答"
        with pytest.raises(ModelUnavailableError):
            list(stream)
        assert len(server.requests) == 1, "an answer half given is not begun anew"


def test_error_inside_a_stream_is_raised() -> None:
    with scripted_server(lambda r, n: sse(piece("答"), {"error": {"message": "out of memory"}})) as server:
        stream = llm(server.url).stream(ASK)
        assert next(stream) == "答"
        with pytest.raises(ModelError, match="out of memory"):
            next(stream)


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"choices": []}', b'{"choices": [{}]}'])
def test_answers_of_another_shape_are_named(body: bytes) -> None:
    with scripted_server(lambda r, n: Reply(body)) as server, pytest.raises(ModelError, match="answer"):
        llm(server.url).generate(ASK)


def test_address_that_is_none() -> None:
    with pytest.raises(ModelError, match="base_url"):
        OpenAICompatibleLLM(EndpointSettings(base_url="localhost:80", model="m", max_retries=0)).generate(ASK)


def test_count_errs_upward() -> None:
    from lunheng.testing.real_models import small_llm

    estimate = llm("http://127.0.0.1:9")
    for text in ("The nightly backup starts at 02:30 UTC. " * 5, "夜间备份于凌晨两点半开始，保留三十五天。" * 5, ""):
        assert small_llm().count(text) <= estimate.count(text)
