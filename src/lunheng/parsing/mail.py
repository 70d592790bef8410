"""A mail as a document: subject, who wrote to whom and when, the body, and each attachment below its name.

Called by the parsers of eml and msg, which differ only in how they find these.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from lunheng.parsing.builder import DocumentBuilder
from lunheng.parsing.html import add_html
from lunheng.parsing.members import MAX_DEPTH, Allowance, add_member
from lunheng.parsing.plaintext import add_text
from lunheng.parsing.rtf import add_rtf
from lunheng.types import Limits


@dataclass(frozen=True)
class Mail:
    """What both formats hold."""

    subject: str
    sender: str
    """``Name <address>``."""
    to: tuple[str, ...]
    cc: tuple[str, ...]
    date: datetime | None
    message_id: str
    bodies: tuple[tuple[str, str], ...]
    """Parts of the body in order, each ("html", "plain" or "rtf", text; that of RTF is its bytes as Latin 1)."""
    attachments: tuple[tuple[str, bytes | Mail], ...]
    """(name, content); a mail attached to an Outlook mail is a mail already."""


def set_properties(mail: Mail, builder: DocumentBuilder) -> None:
    """Give the document the mail's title, author, time and other headers."""
    builder.title = mail.subject
    builder.author = mail.sender or None
    builder.created_at = mail.date
    found = {
        "from": mail.sender,
        "to": list(mail.to),
        "cc": list(mail.cc),
        "message_id": mail.message_id,
        "attachments": [name for name, _ in mail.attachments],
    }
    builder.extra.update({key: value for key, value in found.items() if value})


def add_mail(mail: Mail, builder: DocumentBuilder, level: int, limits: Limits, allowance: Allowance) -> None:
    """Add the mail below a heading of ``level`` that is its subject."""
    builder.heading(mail.subject, level)
    builder.add("paragraph", "\n".join(_header_lines(mail)))
    for kind, text in mail.bodies:
        part = DocumentBuilder(builder.source, builder.source_type, b"")
        if kind == "html":
            add_html(text, part, limits.max_nesting)
        elif kind == "rtf":
            add_rtf(text.encode("latin-1"), part)
        else:
            add_text(text, part)
        for warning in part.warnings:
            builder.warn(warning)
        builder.graft(part.elements, level)
    for name, content in mail.attachments:
        if isinstance(content, bytes):
            add_member(builder, name, content, level + 1, limits, allowance)
        elif allowance.depth < MAX_DEPTH:
            allowance.depth += 1
            add_mail(content, builder, level + 1, limits, allowance)
            allowance.depth -= 1
        else:
            builder.warn(f"{name}: left out, it is nested over {MAX_DEPTH} mails deep")


def _header_lines(mail: Mail) -> list[str]:
    """Who wrote to whom and when, which is asked of a mail as often as what."""
    lines = (
        ("From", mail.sender),
        ("To", ", ".join(mail.to)),
        ("Cc", ", ".join(mail.cc)),
        ("Date", mail.date.isoformat(" ", "minutes") if mail.date else ""),
    )
    return [f"{name}: {value}" for name, value in lines if value]
