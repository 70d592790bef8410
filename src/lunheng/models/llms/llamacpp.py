"""Chats with a GGUF model inside this process, through llama.cpp (the ``xllamacpp`` package).

Called through ``lunheng.models.load_llm``. The model's own chat template is used. The state of the
last prompt is kept, so a prompt that begins like the one before (the same instructions, the same
sources) is read only from where it differs: put what stays first.

llama.cpp brings a small HTTP server of its own that cannot be left out; it listens on a loopback
port, behind a random key, and serves nothing here but tokens: their counts, their ids, how likely the next ones are.
"""

from __future__ import annotations

import copy
import logging
import queue
import secrets
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lunheng.errors import ModelError
from lunheng.models.llms.llamacpp_likelihood import NextTokens
from lunheng.models.onnx_session import thread_count
from lunheng.types import Completion, Likelihood, Message, content_id

log = logging.getLogger(__name__)

DEFAULT_WINDOW = 4096
"""Tokens. A larger window costs memory whether it is used or not."""
_PROMPT_CACHE_MIB = 256
_GREEDY_SEED = 0


@dataclass(slots=True)
class _Runtime:
    """The loaded model, shared by the views of its adapters."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    server: Any = None
    http: Any = None


class LlamaCppLLM:
    """Implements ``LLM`` and ``LikelihoodModel``. Loads when first used; one answer at a time, later callers wait.

    With ``temperature=0`` the same prompt gives the same text, as far as the processor's sums allow:
    a prompt read from the cache is summed in another order than one read afresh.
    """

    def __init__(
        self,
        path: Path,
        *,
        name: str = "",
        identity: str | None = None,
        window: int = DEFAULT_WINDOW,
        threads: int = 0,
        adapters: Mapping[str, Path] | None = None,
    ) -> None:
        """Name the model; nothing is loaded yet.

        Args:
            path: the GGUF file.
            identity: a checksum of the weights for the fingerprint; by default the file's name and size.
            window: tokens of prompt and completion together; not more than the model was trained for.
            threads: 0 for as many as there are cores.
            adapters: GGUF adapters (LoRA) by name, kept beside the model and put on it by ``with_adapter``.

        Raises:
            ModelError: there is no such file.
        """
        if not path.is_file():
            raise ModelError(f"language model: {path} is missing. Run: lunheng models pull NAME")
        for adapter, file in (adapters or {}).items():
            if not file.is_file():
                raise ModelError(
                    f"adapter {adapter}: {file} is missing; lunheng tune export --to gguf-adapter makes one"
                )
        self._path = path
        self._name = name or path.stem
        self._window = window
        self._threads = thread_count(threads)
        self._fingerprint = content_id("llama.cpp", identity or f"{path.name} {path.stat().st_size}")
        self._adapters = dict(adapters or {})
        self._adapter: str | None = None
        self._key = secrets.token_urlsafe(24)
        self._shared = _Runtime()

    @property
    def _server(self) -> Any:
        return self._shared.server

    @property
    def _http(self) -> Any:
        return self._shared.http

    def with_adapter(self, name: str | None) -> LlamaCppLLM:
        """The same loaded model with one of its adapters on, or with none: a view for each caller.

        Raises:
            ModelError: there is no adapter of this name.
        """
        if name is not None and name not in self._adapters:
            raise ModelError(f"adapter {name}: not loaded; there are: {', '.join(self._adapters) or 'none'}")
        view = copy.copy(self)
        view._adapter = name
        if name is not None:
            file = self._adapters[name]
            view._fingerprint = content_id(self._fingerprint, f"{file.name} {file.stat().st_size}")
        return view

    @property
    def fingerprint(self) -> str:
        """Changes with the weights and the runtime."""
        return self._fingerprint

    @property
    def window(self) -> int:
        """Tokens that prompt and completion may have together."""
        return self._window

    def count(self, text: str) -> int:
        """Exactly the model's tokens of ``text``."""
        self._loaded()
        answer = self._http.post("/tokenize", json={"content": text, "add_special": False})
        return len(answer.json()["tokens"])

    def prompt_tokens(self, messages: Sequence[Message]) -> list[int]:
        """Token ids of the conversation as the model's own template renders it, up to where the answer begins."""
        self._loaded()
        plain = [{"role": m.role, "content": m.content} for m in messages]
        text = self._post("/apply-template", {"messages": plain})["prompt"]
        return list(self._post("/tokenize", {"content": text, "add_special": True, "parse_special": True})["tokens"])

    def next_logprobs(self, tokens: Sequence[int], kept: int) -> dict[int, float]:
        """Log-probabilities (natural) of the ``kept`` likeliest tokens after the token ids ``tokens``, unsampled."""
        self._loaded()
        # llama.cpp says nothing of a token that is half a character, as many in Chinese are; so a plain letter is what
        # it writes. The probabilities are those before the bias.
        letter = self._post("/tokenize", {"content": "a", "add_special": False})["tokens"][0]
        asked = {"prompt": list(tokens), "n_predict": 1, "n_probs": kept, "temperature": 0.0, "cache_prompt": True}
        asked["logit_bias"] = [[letter, 1000.0]]
        place = self._post("/completion", asked | self._which())["completion_probabilities"][0]
        return {int(token["id"]): float(token["logprob"]) for token in place["top_logprobs"]}

    def _post(self, path: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        answer = self._http.post(path, json=dict(asked))
        read: dict[str, Any] = answer.json()
        self._raise_if_error(read)
        return read

    def encode(self, text: str) -> list[int]:
        """The tokens of ``text``, no special ones added."""
        self._loaded()
        return list(self._post("/tokenize", {"content": text, "add_special": False, "parse_special": False})["tokens"])

    def log_likelihoods(self, pairs: Sequence[tuple[str, str]]) -> list[Likelihood]:
        """How likely each (prompt, continuation) is; one request for each token of a continuation.

        Raises:
            ModelError: a continuation is empty, or longer than the window.
        """
        after = self._next_tokens()
        return [after.log_likelihood(self.encode, prompt, continuation) for prompt, continuation in pairs]

    def token_log_probabilities(self, sequences: Sequence[Sequence[int]]) -> list[NDArray[np.float64]]:
        """For each sequence the natural log of each token's probability; one request for each token.

        Raises:
            ModelError: a sequence has as many tokens as the window, or more.
        """
        return [self._next_tokens().log_probabilities(sequence) for sequence in sequences]

    def generate(
        self,
        messages: Sequence[Message],
        *,
        schema: Mapping[str, Any] | None = None,
        stop: Sequence[str] = (),
        max_tokens: int = 512,
        temperature: float = 0.0,
    ) -> Completion:
        """The model's answer. With ``schema``, a JSON Schema, the text is JSON that fits it (unless it was cut).

        Raises:
            ModelError: the messages do not fit the window, or the model cannot be loaded or run.
        """
        payload = self._payload(messages, stop, max_tokens, temperature)
        if schema is not None:
            payload["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": dict(schema)},
            }
        text: list[str] = []
        reason, usage = "stop", dict[str, int]()
        for chunk in self._chunks(payload):
            usage = chunk.get("usage") or usage
            for choice in chunk.get("choices", ()):
                text.append(choice["delta"].get("content") or "")
                reason = choice.get("finish_reason") or reason
        return Completion(
            "".join(text), self._name, usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0), reason
        )

    def stream(
        self,
        messages: Sequence[Message],
        *,
        stop: Sequence[str] = (),
        max_tokens: int = 512,
        temperature: float = 0.0,
    ) -> Iterator[str]:
        """The answer piece by piece, as it is written. Closing the iterator stops the model."""
        for chunk in self._chunks(self._payload(messages, stop, max_tokens, temperature)):
            for choice in chunk.get("choices", ()):
                if piece := choice["delta"].get("content"):
                    yield piece

    def close(self) -> None:
        """Give the memory back; the next call would load the model again."""
        with self._shared.lock:
            if self._shared.http is not None:
                self._shared.http.close()
            self._shared.server = self._shared.http = None

    def _which(self) -> dict[str, Any]:
        """The adapter that a request is answered with; all stand beside the model and none is on it by itself."""
        if not self._adapters:
            return {}
        return {"lora": [{"id": at, "scale": float(name == self._adapter)} for at, name in enumerate(self._adapters)]}

    def _next_tokens(self) -> NextTokens:
        self._loaded()
        said = self._http.get("/props").json()
        mark = said.get("bos_token") or said.get("eos_token") or ""
        found = self._post("/tokenize", {"content": mark, "add_special": False, "parse_special": True})["tokens"]
        if len(found) != 1:
            raise ModelError(
                f"{self._name}: has neither a start nor an end token, so the first token has no likelihood"
            )
        return NextTokens(self.next_logprobs, int(found[0]), self._window, self._name)

    def _payload(
        self, messages: Sequence[Message], stop: Sequence[str], max_tokens: int, temperature: float
    ) -> dict[str, Any]:
        payload: dict[str, Any] = {
            "messages": [{"role": m.role, "content": m.content} for m in messages],
            "max_tokens": max_tokens,
            "temperature": temperature,
            "cache_prompt": True,
            "stream": True,
            "stream_options": {"include_usage": True},
            **self._which(),
        }
        if stop:
            payload["stop"] = list(stop)
        if temperature == 0:
            payload |= {"top_k": 1, "seed": _GREEDY_SEED}
        return payload

    def _chunks(self, payload: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Run on a thread of its own, so that Ctrl-C and a reader who leaves both stop the model."""
        pieces: queue.SimpleQueue[dict[str, Any] | BaseException | None] = queue.SimpleQueue()
        left = threading.Event()

        def take(chunk: dict[str, Any]) -> bool:
            pieces.put(chunk)
            return left.is_set()  # True tells llama.cpp to stop

        def run() -> None:
            try:
                server = self._loaded()
                with self._shared.lock:
                    if not left.is_set():
                        server.handle_chat_completions(payload, take)
                pieces.put(None)
            except BaseException as error:  # noqa: BLE001 - handed to the caller's thread, which raises it
                pieces.put(error)

        worker = threading.Thread(target=run, name=f"llama.cpp {self._name}", daemon=True)
        worker.start()
        try:
            while (piece := pieces.get()) is not None:
                if isinstance(piece, BaseException):
                    raise piece
                self._raise_if_error(piece)
                yield piece
        finally:
            left.set()
            worker.join()

    def _raise_if_error(self, chunk: dict[str, Any]) -> None:
        if (error := chunk.get("error")) is None:
            return
        if error.get("type") == "exceed_context_size_error":
            raise ModelError(
                f"{self._name}: the prompt has {error.get('n_prompt_tokens')} tokens and the window is {self._window}. "
                "Give fewer or shorter sources (answering.context_tokens)."
            )
        raise ModelError(f"{self._name}: llama.cpp says: {error.get('message', error)}")

    def _loaded(self) -> Any:
        with self._shared.lock:
            if self._shared.server is None:
                self._load()
            return self._shared.server

    def _load(self) -> None:
        import httpx
        import xllamacpp

        params = xllamacpp.CommonParams()
        params.model.path = str(self._path)
        params.n_ctx = self._window
        params.n_parallel = 1
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = self._threads
        params.cache_ram_mib = _PROMPT_CACHE_MIB
        params.n_gpu_layers = 0
        params.fit_params = False
        params.warmup = False
        params.verbosity = -1
        params.hostnames, params.port, params.api_keys = ["127.0.0.1"], 0, [self._key]
        params.n_threads_http = 2
        params.ui = params.endpoint_slots = False
        if self._adapters:
            params.lora_adapters = [_adapter_info(file) for file in self._adapters.values()]
            params.lora_init_without_apply = True
        try:
            self._shared.server = xllamacpp.Server(params)
        except RuntimeError as error:
            raise ModelError(
                f"{self._name}: llama.cpp cannot load {self._path} ({error}). "
                "It may be damaged, or too large for the memory: pull it again, or take a smaller model."
            ) from error
        self._shared.http = httpx.Client(
            base_url=self._shared.server.listening_address,
            headers={"Authorization": f"Bearer {self._key}"},
            timeout=30.0,
            trust_env=False,  # a proxy has no business on the loopback
        )
        log.info("language model %s loaded, %d threads, window %d", self._name, self._threads, self._window)


def _adapter_info(file: Path) -> Any:
    import xllamacpp

    info = xllamacpp.CommonAdapterLoraInfo()
    info.path, info.scale = str(file), 1.0
    return info
