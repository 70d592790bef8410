"""The same conversation put to a model wherever it runs: in torch, in llama.cpp inside this process, behind a server.

Called by ``parity``. Each speaker renders the conversation with the template that it has itself, as its users get it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from lunheng.config import EndpointSettings
from lunheng.errors import ModelError
from lunheng.models.endpoint import Endpoint
from lunheng.models.llms.llamacpp import LlamaCppLLM
from lunheng.models.onnx_session import thread_count
from lunheng.tuning.release.readings import KEPT, Reading, greedy, prompt_ids, read_along
from lunheng.types import Message

_SERVED = 20
"""Log-probabilities that an OpenAI-compatible server gives of each place."""
_HALF_CHARACTER = "\ufffd"


@dataclass(frozen=True, slots=True)
class Said:
    """What came of one conversation."""

    reading: Reading
    prompt_tokens: int
    text: str
    """The greedy answer, without the marks that end it."""


class Speaker(Protocol):
    """A model somewhere."""

    def say(self, messages: Sequence[Message], along: Sequence[int] | None, tokens: int) -> Said:
        """Its answer, and its log-probabilities: ``along`` the answer of another where it can, else along its own."""
        ...


class TorchSpeaker:
    """A model in torch, with PEFT or without."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self._model, self._tokenizer = model, tokenizer

    def say(self, messages: Sequence[Message], along: Sequence[int] | None, tokens: int) -> Said:
        """See ``Speaker``."""
        prompt = prompt_ids(self._tokenizer, messages)
        answer = greedy(self._model, self._tokenizer, prompt, tokens)
        reading = read_along(self._model, prompt, answer if along is None else along)
        return Said(reading, len(prompt), plain(self._tokenizer.decode(answer, skip_special_tokens=True)))


class LlamaCppSpeaker:
    """The provider that ``lunheng ask`` uses."""

    def __init__(self, llm: LlamaCppLLM) -> None:
        self._llm = llm

    def say(self, messages: Sequence[Message], along: Sequence[int] | None, tokens: int) -> Said:
        """See ``Speaker``."""
        prompt, answer = self._llm.prompt_tokens(messages), list(along or ())
        places = tuple(self._llm.next_logprobs([*prompt, *answer[:at]], KEPT) for at in range(len(answer)))
        said = self._llm.generate(messages, max_tokens=tokens)
        return Said(Reading(tuple(prompt), tuple(answer), places), said.prompt_tokens, plain(said.text))


class ServerSpeaker:
    """A server of OpenAI's shape. It tells the length of the prompt and not its tokens, and speaks its own words."""

    def __init__(self, settings: EndpointSettings, tokenizer: Any) -> None:
        self._endpoint, self._model, self._tokenizer = Endpoint(settings), settings.model, tokenizer

    def say(self, messages: Sequence[Message], along: Sequence[int] | None, tokens: int) -> Said:
        """See ``Speaker``.

        Raises:
            ModelError: the server gives no log-probabilities.
        """
        asked = {
            "model": self._model,
            "messages": [{"role": m.role, "content": m.content} for m in messages],
            "max_tokens": tokens,
            "temperature": 0.0,
            "logprobs": True,
            "top_logprobs": _SERVED,
        }
        answer = self._endpoint.post("chat/completions", asked)
        choice = answer["choices"][0]
        content = (choice.get("logprobs") or {}).get("content")
        if not content:
            raise ModelError(
                f"{self._model}: the server gives no log-probabilities, and parity cannot be told without; start it with "
                "them, or compare the file with --gguf"
            )
        spoken = tuple(self._id(place) for place in content)
        places = tuple({self._id(t): float(t["logprob"]) for t in place["top_logprobs"]} for place in content)
        usage = answer.get("usage") or {}
        told = self._told(along or (), spoken, int(usage.get("completion_tokens", len(spoken))))
        reading = Reading((), spoken[:told], places[:told])
        return Said(reading, int(usage.get("prompt_tokens", 0)), plain(choice["message"].get("content") or ""))

    def _told(self, along: Sequence[int], spoken: Sequence[int], written: int) -> int:
        """Places up to which each token is told: a server leaves out those that are half a character by themselves."""
        whole = next((at for at, token in enumerate(along) if self._is_half(token)), len(spoken))
        if written == len(spoken):
            return whole
        shared = next((at for at, (a, b) in enumerate(zip(along, spoken, strict=False)) if a != b), len(spoken))
        return min(whole, shared)

    def _is_half(self, token: int) -> bool:
        return _HALF_CHARACTER in self._tokenizer.decode([token])

    def _id(self, token: Mapping[str, Any]) -> int:
        """llama.cpp gives ids; the others give text, which is one token again nearly always."""
        if "id" in token:
            return int(token["id"])
        ids = self._tokenizer(token["token"], add_special_tokens=False)["input_ids"]
        return int(ids[0]) if len(ids) == 1 else -1


def plain(text: str) -> str:
    """An answer without the half of a character at which its last token may have cut it off."""
    return text.strip().rstrip(_HALF_CHARACTER).strip()


@contextmanager
def served(gguf: Path, threads: int = 0, window: int = 1024) -> Iterator[EndpointSettings]:
    """llama.cpp's OpenAI-compatible server over ``gguf``, on the loopback, for as long as it is wanted."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(gguf)
    params.n_ctx, params.n_parallel, params.n_gpu_layers = window, 1, 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = thread_count(threads)
    params.fit_params = params.warmup = params.ui = False
    params.verbosity = -1
    params.hostnames, params.port = ["127.0.0.1"], 0
    try:
        server = xllamacpp.Server(params)
    except RuntimeError as error:
        raise ModelError(f"{gguf}: llama.cpp cannot load it ({error})") from error
    yield EndpointSettings(base_url=f"{server.listening_address}/v1", model=gguf.stem)
    del server
