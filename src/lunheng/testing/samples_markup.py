"""Sample documents in languages of mark-up: reStructuredText, TeX, Org, DocBook, JATS, FictionBook.

Called by ``samples``.
"""

from __future__ import annotations

from html import escape
from pathlib import Path

from lunheng.testing.stories import Sample, Story, sample, structured


def make_rst(folder: Path, story: Story) -> Sample:
    path = folder / f"story-{story.language}.rst"
    rule = "=" * 60
    parts = [f"{story.title}\n{rule}", ":Author: Ada Sample", f".. {story.secret}"]
    for heading, paragraphs in story.sections:
        parts.extend((f"{heading}\n{'-' * 60}", *paragraphs))
    parts.append("\n".join(f"- {item}" for item in story.items))
    rows = "\n".join("   " + ", ".join(f'"{cell}"' for cell in row) for row in story.table[1:])
    header = ", ".join(f'"{cell}"' for cell in story.table[0])
    parts.append(f".. csv-table::\n   :header: {header}\n\n{rows}")
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return sample(path, story, **structured(story), hidden=(story.secret,))


def make_tex(folder: Path, story: Story) -> Sample:
    path = folder / f"story-{story.language}.tex"
    parts = [rf"\documentclass{{ctexart}}\title{{{story.title}}}\author{{Ada Sample}}\begin{{document}}\maketitle"]
    for heading, paragraphs in story.sections:
        parts.extend((rf"\section{{{heading}}}", *paragraphs))
    items = "".join(rf"\item {item}" + "\n" for item in story.items)
    parts.append(rf"\begin{{itemize}}{items}\end{{itemize}}")
    rows = "\\\\\n".join(" & ".join(row) for row in story.table)
    parts.append(rf"\begin{{tabular}}{{lll}}\hline {rows} \\ \hline\end{{tabular}}")
    parts.append(f"% {story.secret}\n\\end{{document}}")
    path.write_text("\n\n".join(parts), encoding="utf-8")
    return sample(path, story, **structured(story), hidden=(story.secret,))


def make_org(folder: Path, story: Story) -> Sample:
    path = folder / f"story-{story.language}.org"
    parts = [f"#+author: Ada Sample\n* {story.title}\n:PROPERTIES:\n:NOTE: {story.secret}\n:END:"]
    for heading, paragraphs in story.sections:
        parts.extend((f"** {heading}", *paragraphs))
    parts.append("\n".join(f"- {item}" for item in story.items))
    rows = ["| " + " | ".join(row) + " |" for row in story.table]
    parts.append("\n".join([rows[0], "|---+---+---|", *rows[1:]]))
    path.write_text("\n\n".join(parts), encoding="utf-8")
    return sample(path, story, **structured(story), hidden=(story.secret,))


def make_docbook(folder: Path, story: Story) -> Sample:
    path = folder / f"story-{story.language}.docbook"
    parts = [
        '<?xml version="1.0"?>\n<article xmlns="http://docbook.org/ns/docbook" version="5.0"><info>'
        f"<title>{escape(story.title)}</title><author><personname>Ada Sample</personname></author></info>"
    ]
    for heading, paragraphs in story.sections:
        body = "".join(f"<para>{escape(p)}</para>" for p in paragraphs)
        parts.append(f"<section><title>{escape(heading)}</title>{body}</section>")
    items = "".join(f"<listitem><para>{escape(item)}</para></listitem>" for item in story.items)
    rows = "".join(f"<row>{''.join(f'<entry>{escape(c)}</entry>' for c in row)}</row>" for row in story.table)
    parts.append(
        f"<itemizedlist>{items}</itemizedlist><informaltable><tgroup cols='3'><tbody>{rows}</tbody></tgroup>"
        f"</informaltable><!-- {escape(story.secret)} --></article>"
    )
    path.write_text("\n".join(parts), encoding="utf-8")
    return sample(path, story, **structured(story), hidden=(story.secret,))


def make_jats(folder: Path, story: Story) -> Sample:
    path = folder / f"story-{story.language}.nxml"
    parts = [
        '<?xml version="1.0"?>\n<!DOCTYPE article PUBLIC "-//NLM//DTD JATS (Z39.96) Journal Archiving DTD v1.2//EN" "x.dtd">'
        '\n<article article-type="research-article"><front><article-meta><title-group>'
        f"<article-title>{escape(story.title)}</article-title></title-group><contrib-group><contrib><name>"
        "<surname>Sample</surname><given-names>Ada</given-names></name></contrib></contrib-group>"
        f"<abstract><p>{escape(story.sections[0][1][0])}</p></abstract></article-meta></front><body>"
    ]
    for heading, paragraphs in story.sections:
        body = "".join(f"<p>{escape(p)}</p>" for p in paragraphs)
        parts.append(f"<sec><title>{escape(heading)}</title>{body}</sec>")
    items = "".join(f"<list-item><p>{escape(item)}</p></list-item>" for item in story.items)
    rows = "".join(f"<tr>{''.join(f'<td>{escape(c)}</td>' for c in row)}</tr>" for row in story.table)
    parts.append(f"<list>{items}</list><table-wrap><table>{rows}</table></table-wrap></body></article>")
    path.write_text("\n".join(parts), encoding="utf-8")
    found = sample(path, story, **structured(story))
    return Sample(path, "jats", story.language, found.phrases, found.headings, found.nested, found.table_rows)


def make_fb2(folder: Path, story: Story) -> Sample:
    path = folder / f"story-{story.language}.fb2"
    parts = [
        '<?xml version="1.0" encoding="utf-8"?><FictionBook xmlns="http://www.gribuser.ru/xml/fictionbook/2.0">'
        f"<description><title-info><book-title>{escape(story.title)}</book-title><author><first-name>Ada</first-name>"
        "<last-name>Sample</last-name></author></title-info></description><body>"
    ]
    for heading, paragraphs in story.sections:
        body = "".join(f"<p>{escape(p)}</p>" for p in paragraphs)
        parts.append(f"<section><title><p>{escape(heading)}</p></title>{body}</section>")
    items = "".join(f"<p>{escape(item)}</p>" for item in story.items)
    rows = "".join(f"<tr>{''.join(f'<td>{escape(c)}</td>' for c in row)}</tr>" for row in story.table)
    parts.append(f"<section>{items}<table>{rows}</table></section></body><binary id='a'>AAAA</binary></FictionBook>")
    path.write_text("".join(parts), encoding="utf-8")
    return sample(path, story, **structured(story), hidden=("AAAA",))
