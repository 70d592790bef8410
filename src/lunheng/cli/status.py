"""``lunheng status``"""

from __future__ import annotations

from lunheng.cli.common import DEFAULT_FOLDER, AsJson, Folder, opened, out, print_json


def status(kb: Folder = DEFAULT_FOLDER, as_json: AsJson = False) -> None:
    """Show what the knowledge base holds."""
    with opened(kb) as base:
        found = base.status()
    if as_json:
        print_json(found)
        return
    out.print(
        f"[bold]{found['folder']}[/]  {found['documents']} documents, {found['chunks']} chunks, {found['bytes'] / 1e6:.1f} MB"
    )
    shares = ", ".join(f"{name} {share:.0%}" for name, share in sorted(found["languages"].items()))
    out.print(f"languages: {shares or 'none'}")
    fingerprint = found["embedder_fingerprint"]
    out.print(f"embedder: {found['embedder'] or 'not chosen yet'} {fingerprint[:12] if fingerprint else ''}")
    for job in found["jobs"]:
        out.print(f"[dim]{job['started_at']}[/] {job['kind']}: {job['state']} {job['detail']}")
