"""``lunheng status``"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from lunheng.cli.common import DEFAULT_FOLDER, AsJson, Folder, counted, opened, out, outcomes, print_json


def status(kb: Folder = DEFAULT_FOLDER, as_json: AsJson = False) -> None:
    """Show what the knowledge base holds."""
    with opened(kb) as base:
        found = base.status()
    if as_json:
        print_json(found)
        return
    documents, chunks = counted(found["documents"], "document"), counted(found["chunks"], "chunk")
    out.print(f"{found['folder']}", style="bold", markup=False, end="")
    out.print(f"  {documents}, {chunks}, {found['bytes'] / 1e6:.1f} MB")
    shares = ", ".join(f"{name} {share:.0%}" for name, share in sorted(found["languages"].items()))
    out.print(f"languages: {shares or 'none'}")
    fingerprint = found["embedder_fingerprint"]
    out.print(f"embedder: {found['embedder'] or 'not chosen yet'} {fingerprint[:12] if fingerprint else ''}")
    for job in found["jobs"]:
        out.print(f"{_moment(job['started_at']):%Y-%m-%d %H:%M}  ", style="dim", end="")
        out.print(_job(job), markup=False)


def _job(job: Mapping[str, Any]) -> str:
    """What was done and how it ended: ``sync /data/handbook: done, 11 added (5 s)``."""
    became = outcomes(job["detail"])
    took = ""
    if job["ended_at"]:
        took = f" ({(_moment(job['ended_at']) - _moment(job['started_at'])).total_seconds():.0f} s)"
    done = f"{job['kind']} {_subject(job['detail'])}".rstrip()
    return f"{done}: {job['state']}" + (f", {became}" if became else "") + took


def _subject(detail: Mapping[str, Any]) -> str:
    match detail:
        case {"folder": folder}:
            return str(folder)
        case {"sources": sources}:
            return counted(sources, "file")
        case {"names": names}:
            return ", ".join(names)
        case {"findings": findings}:
            return counted(findings, "finding")
        case {"embedder": str(embedder)}:
            return f"--embedder {embedder}"
    return ""


def _moment(text: str) -> datetime:
    """In the reader's own time zone."""
    return datetime.fromisoformat(text).astimezone()
