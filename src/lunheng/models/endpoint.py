"""Speaks HTTP with model servers: JSON in and out, server-sent events, retries.

Called by the OpenAI-compatible language model and embedder. A refusal that may pass (429, 5xx, no
connection, a timeout) is tried again with growing waits, or after as long as the server asks for
(``Retry-After``); any other is an error at once. A stream is tried again only until its first event.
"""

from __future__ import annotations

import email.utils
import json
import logging
import os
import time
from collections.abc import Generator, Mapping
from typing import Any

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from lunheng.config import EndpointSettings
from lunheng.errors import ModelError, ModelUnavailableError

log = logging.getLogger(__name__)

_FIRST_WAIT = 0.5
_LONGEST_WAIT = 30.0
_SHOWN = 300
_DONE = "[DONE]"


class _RefusedForNow(ModelUnavailableError):
    """Try again; after ``wait`` seconds if the server said so."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


class Endpoint:
    """One server and model. Thread-safe."""

    def __init__(self, settings: EndpointSettings) -> None:
        self.settings = settings
        key = os.environ.get(settings.api_key_env)
        self._client = httpx.Client(
            timeout=httpx.Timeout(settings.timeout_seconds, connect=min(10.0, settings.timeout_seconds)),
            headers={"Authorization": f"Bearer {key}"} if key else {},
        )
        self._backoff = wait_random_exponential(multiplier=_FIRST_WAIT, max=_LONGEST_WAIT)

    def post(self, path: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        """The server's JSON answer to ``payload`` at ``base_url/path``.

        Raises:
            ModelUnavailableError: it did not answer, or refused for now, at every attempt.
            ModelError: it refused for good, or its answer is not a JSON object.
        """
        for attempt in self._retrying():
            with attempt:
                with self._translated():
                    response = self._client.post(self._url(path), json=payload)
                    self._check(response)
                return self._json(response.text)
        raise AssertionError("unreachable: tenacity re-raises")

    def stream(self, path: str, payload: Mapping[str, Any]) -> Generator[dict[str, Any], None, None]:
        """Each server-sent event's JSON; closing the iterator closes the connection.

        Raises:
            ModelUnavailableError: as ``post``, or the stream broke off.
            ModelError: as ``post``.
        """
        response: httpx.Response | None = None
        for attempt in self._retrying():
            with attempt, self._translated():
                response = self._client.send(
                    self._client.build_request("POST", self._url(path), json=payload), stream=True
                )
                if response.status_code >= 400:
                    response.read()
                    response.close()
                    self._check(response)
        assert response is not None
        try:
            with self._translated():
                for line in response.iter_lines():
                    if not line.startswith("data:"):
                        continue
                    data = line[5:].strip()
                    if data == _DONE:
                        return
                    event = self._json(data)
                    if "error" in event:
                        raise ModelError(f"{self._name}: the server broke off: {str(event['error'])[:_SHOWN]}")
                    yield event
        finally:
            response.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    @property
    def _name(self) -> str:
        return f"model {self.settings.model} at {self.settings.base_url}"

    def _url(self, path: str) -> str:
        return f"{self.settings.base_url.rstrip('/')}/{path}"

    def _check(self, response: httpx.Response) -> None:
        status, said = response.status_code, response.text[:_SHOWN]
        if status in (408, 409, 425, 429) or status >= 500:
            raise _RefusedForNow(f"{self._name}: {status} {said}", _retry_after(response))
        if status in (401, 403):
            raise ModelError(
                f"{self._name}: {status}, the key was refused. Set the environment variable {self.settings.api_key_env}. {said}"
            )
        if status == 404:
            raise ModelError(
                f"{self._name}: 404, no such path or model. Check base_url (it usually ends in /v1). {said}"
            )
        if status >= 300:
            raise ModelError(f"{self._name}: {status} {said}")

    def _json(self, text: str) -> dict[str, Any]:
        try:
            value = json.loads(text)
        except ValueError as error:
            raise ModelError(f"{self._name}: the answer is not JSON: {text[:_SHOWN]!r}. Check base_url.") from error
        if not isinstance(value, dict):
            raise ModelError(f"{self._name}: the answer is not a JSON object: {text[:_SHOWN]!r}.")
        return value

    def _translated(self) -> _Translated:
        return _Translated(self._name, self.settings.timeout_seconds)

    def _retrying(self) -> Retrying:
        return Retrying(
            retry=retry_if_exception_type(ModelUnavailableError),
            stop=stop_after_attempt(self.settings.max_retries + 1),
            wait=self._wait,
            before_sleep=self._log_retry,
            reraise=True,
        )

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, _RefusedForNow) and error.wait is not None:
            return min(error.wait, _LONGEST_WAIT)
        return float(self._backoff(state))

    def _log_retry(self, state: RetryCallState) -> None:
        wait = state.next_action.sleep if state.next_action else 0.0
        error = state.outcome.exception() if state.outcome else None
        log.warning("%s; attempt %d failed, the next in %.1f s", error, state.attempt_number, wait)


class _Translated:
    """Turns httpx's errors into Lunheng's."""

    def __init__(self, name: str, timeout: float) -> None:
        self._name = name
        self._timeout = timeout

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: Any, error: BaseException | None, _trace: Any) -> None:
        if isinstance(error, httpx.TimeoutException):
            raise ModelUnavailableError(
                f"{self._name}: no answer within {self._timeout:g} s. Raise timeout_seconds, or look at the server."
            ) from error
        if isinstance(error, (httpx.InvalidURL, httpx.UnsupportedProtocol)):
            raise ModelError(f"{self._name}: base_url is not a URL: {error}") from error
        if isinstance(error, httpx.TransportError):
            raise ModelUnavailableError(f"{self._name}: {type(error).__name__}: {error}. Is the server up?") from error


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds that the server asks for (RFC 9110, 10.2.3: a number or a date)."""
    given = response.headers.get("retry-after")
    if given is None:
        return None
    try:
        return max(0.0, float(given))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(given).timestamp() - time.time())
    except ValueError:
        return None
