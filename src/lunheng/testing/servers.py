"""Servers on the loopback for tests: a real OpenAI-compatible one, and one that fails as it is told.

Called by tests of the endpoint providers and of downloads.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@contextmanager
def llamacpp_server(model: Path, *, embedding: bool = False, window: int = 512, threads: int = 2) -> Iterator[str]:
    """llama.cpp's own HTTP server over a GGUF file; gives its base URL, with ``/v1``."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.n_ctx = params.n_batch = params.n_ubatch = window
    params.n_parallel = 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.n_gpu_layers = 0
    params.warmup = params.fit_params = params.ui = False
    params.verbosity = -1
    params.cache_ram_mib = 0
    if embedding:
        params.embedding = True
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    server = xllamacpp.Server(params)
    try:
        yield server.listening_address + "/v1"
    finally:
        del server


@dataclass(frozen=True)
class Request:
    """What the scripted server was asked."""

    method: str
    path: str
    headers: dict[str, str]
    json: Any


@dataclass
class Reply:
    """What it answers: a status, headers, a body, and how it misbehaves."""

    body: bytes | dict[str, Any] | list[Any] = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    cut_after: int | None = None
    """Send so many bytes of the body, then drop the connection."""

    def bytes(self) -> bytes:
        """The body as sent."""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass
class ScriptedServer:
    """Where it listens and what it was asked so far."""

    url: str
    requests: list[Request] = field(default_factory=list)


@contextmanager
def scripted_server(answer: Callable[[Request, int], Reply]) -> Iterator[ScriptedServer]:
    """A server that replies ``answer(request, number of this request from 0)``."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _reply(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            body = self.rfile.read(length)
            request = Request(
                self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, json.loads(body or b"null")
            )
            with lock:
                number = len(server.requests)
                server.requests.append(request)
            reply = answer(request, number)
            time.sleep(reply.delay)
            data = reply.bytes()
            try:
                self.send_response(reply.status)
                for name, value in {"Content-Length": str(len(data)), **reply.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data if reply.cut_after is None else data[: reply.cut_after])
                self.wfile.flush()
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # the caller left, which is what some tests are about
            if reply.cut_after is not None:
                self.close_connection = True

        do_GET = do_POST = _reply

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    server = ScriptedServer(f"http://127.0.0.1:{http.server_address[1]}")
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
