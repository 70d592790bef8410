"""Fetches a model's files over HTTPS: the Hugging Face hub, ModelScope, or plain URLs.

Called by ``models.download``. A file goes on where the last attempt stopped (HTTP Range), and is
checked against the registry's sha256, else against the one that the hub lists for it. Mirrors are
set as usual: ``HF_ENDPOINT``, ``MODELSCOPE_ENDPOINT``; ``HF_TOKEN`` opens gated models.
"""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

import httpx
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from lunheng.errors import ModelError, ModelUnavailableError
from lunheng.models.progress import Reporter, verify, verify_git_blob
from lunheng.models.registry import HubPlace, RemoteFile, UrlPlace

log = logging.getLogger(__name__)

_TIMEOUT = httpx.Timeout(30.0, connect=10.0)
_ATTEMPTS = 4
_UNWANTED = re.compile(r"(^|/)(\.|README|LICENSE)|\.(h5|msgpack|ot|png|jpg|pdf|gguf)$|^(onnx|openvino)/", re.IGNORECASE)
_NAME = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9._-]*$")


def fetch_http(place: HubPlace | UrlPlace, folder: Path, reporter: Reporter) -> list[Path]:
    """Fetch every file of ``place`` into ``folder`` and verify it.

    Raises:
        ModelUnavailableError: the server did not answer, or did so with an error.
        ModelError: a file is not the one expected, or none has a checksum to go by.
    """
    with httpx.Client(timeout=_TIMEOUT, follow_redirects=True, headers=_headers(place)) as client:
        files = _listed(client, place)
        if reporter.total is None:  # else it was said already
            reporter.total = sum(f.size or 0 for f in files) or None
            reporter.step("fetch")
        paths = []
        for file in files:
            if file.sha256 is None and file.git_blob is None:
                raise ModelError(
                    f"{file.path}: neither the registry nor the server gives its checksum, so it is not used."
                )
            path = folder / file.name
            path.parent.mkdir(parents=True, exist_ok=True)
            _fetch(client, _url(place, file), path, reporter)
            if file.sha256 is not None:
                verify(path, file.sha256, file.path)
            elif file.git_blob is not None:
                verify_git_blob(path, file.git_blob, file.path)
            paths.append(path)
    return paths


def _headers(place: HubPlace | UrlPlace) -> dict[str, str]:
    token = os.environ.get("HF_TOKEN") if place.kind == "hub" else None
    plain = {"Accept-Encoding": "identity"}  # ranges count the file's own bytes
    return {**plain, "Authorization": f"Bearer {token}"} if token else plain


def _endpoint(place: HubPlace) -> str:
    if place.kind == "hub":
        return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    return os.environ.get("MODELSCOPE_ENDPOINT", "https://modelscope.cn").rstrip("/")


def _url(place: HubPlace | UrlPlace, file: RemoteFile) -> str:
    if isinstance(place, UrlPlace):
        return file.path
    path = quote(file.path)
    if place.kind == "hub":
        return f"{_endpoint(place)}/{place.repo}/resolve/{place.revision or 'main'}/{path}"
    return f"{_endpoint(place)}/models/{place.repo}/resolve/{place.revision or 'master'}/{path}"


def _listed(client: httpx.Client, place: HubPlace | UrlPlace) -> list[RemoteFile]:
    """The files to fetch, with checksums filled in from the hub's listing where the registry has none."""
    if isinstance(place, UrlPlace) or (place.files and all(f.sha256 for f in place.files)):
        return list(place.files)
    listing = _hub_listing(client, place) if place.kind == "hub" else _modelscope_listing(client, place)
    by_path = {f.path: f for f in listing}
    log.warning("%s: the registry has no sha256 for it; going by the checksums that the hub itself lists", place.repo)
    if not place.files:
        wanted = [f for f in listing if not _UNWANTED.search(f.path)]
        if any(f.path.endswith(".safetensors") for f in wanted):  # the same weights as in the .bin
            wanted = [f for f in wanted if not f.path.endswith(".bin")]
        return wanted
    missing = [f.path for f in place.files if f.path not in by_path]
    if missing:
        raise ModelError(f"{place.kind} {place.repo}: has no file {', '.join(missing)}.")
    return [_with_checksum(f, by_path[f.path]) for f in place.files]


def _with_checksum(wanted: RemoteFile, listed: RemoteFile) -> RemoteFile:
    if wanted.sha256:
        return wanted
    known = {"sha256": listed.sha256, "git_blob": listed.git_blob, "size": wanted.size or listed.size}
    return wanted.model_copy(update=known)


def _hub_listing(client: httpx.Client, place: HubPlace) -> list[RemoteFile]:
    url = f"{_endpoint(place)}/api/models/{place.repo}/tree/{place.revision or 'main'}?recursive=true"
    rows = [r for r in _json(client, url) if r["type"] == "file"]
    # Small files are plain git blobs there, and have git's checksum instead of a sha256.
    return [_remote(r["path"], r.get("size"), (r.get("lfs") or {}).get("oid"), r.get("oid")) for r in rows]


def _modelscope_listing(client: httpx.Client, place: HubPlace) -> list[RemoteFile]:
    url = (
        f"{_endpoint(place)}/api/v1/models/{place.repo}/repo/files?Revision={place.revision or 'master'}&Recursive=true"
    )
    rows = [r for r in _json(client, url)["Data"]["Files"] if r["Type"] == "blob"]
    return [_remote(r["Path"], r.get("Size"), r.get("Sha256")) for r in rows]


def _remote(path: str, size: int | None, sha256: str | None, git_blob: str | None = None) -> RemoteFile:
    """A listed file. What a server calls it never leads out of the model's folder."""
    parts = PurePosixPath(path).parts
    if not all(_NAME.match(p) for p in parts if not p.startswith(".")) or ".." in parts or path.startswith("/"):
        raise ModelError(f"the server lists a file with the name {path!r}, which is not one.")
    return RemoteFile.model_construct(
        path=path, name="/".join(parts), size=size or None, sha256=sha256 or None, git_blob=git_blob
    )


def _json(client: httpx.Client, url: str) -> Any:
    for attempt in _retrying():
        with attempt:
            try:
                return _checked(client.get(url), url).json()
            except httpx.TransportError as error:
                raise ModelUnavailableError(f"{url}: {type(error).__name__} {error}") from error
            except ValueError as error:
                raise ModelError(f"{url}: the listing is not JSON ({error}).") from error
    raise AssertionError("unreachable: tenacity re-raises")


def _fetch(client: httpx.Client, url: str, path: Path, reporter: Reporter) -> None:
    """Fetch ``url`` to ``path`` by way of ``path.partial``, which is gone on with after a break."""
    if path.is_file():
        reporter.add(path.stat().st_size)
        return
    partial = path.with_name(path.name + ".partial")
    if partial.exists():
        reporter.add(partial.stat().st_size)
    for attempt in _retrying():
        with attempt:
            _append(client, url, partial, reporter)
    partial.rename(path)


def _append(client: httpx.Client, url: str, partial: Path, reporter: Reporter) -> None:
    have = partial.stat().st_size if partial.exists() else 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    try:
        with client.stream("GET", url, headers=headers) as response:
            if have and response.status_code == 416:  # everything is here already
                return
            _checked(response, url)
            if have and response.status_code != 206:  # no ranges here: from the start
                reporter.done -= have
                have = 0
            with partial.open("ab" if have else "wb") as out:
                for chunk in response.iter_bytes():  # as it comes, so that a break loses nothing
                    out.write(chunk)
                    reporter.add(len(chunk))
    except httpx.TransportError as error:
        raise ModelUnavailableError(f"{url}: {type(error).__name__} {error}") from error


def _checked(response: httpx.Response, url: str) -> httpx.Response:
    status = response.status_code
    if status == 429 or status >= 500:
        raise ModelUnavailableError(f"{url}: the server said {status}. Try again later.")
    if status in (401, 403):
        raise ModelError(f"{url}: the server refuses it ({status}). Accept the model's terms there and set HF_TOKEN.")
    if status >= 400:
        raise ModelError(f"{url}: the server said {status}.")
    return response


def _retrying() -> Retrying:
    return Retrying(
        retry=retry_if_exception_type(ModelUnavailableError),
        stop=stop_after_attempt(_ATTEMPTS),
        wait=wait_random_exponential(multiplier=0.5, max=8),
        reraise=True,
    )
