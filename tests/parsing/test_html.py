"""HTML: what is hidden, what is boilerplate, and the structure of what is left."""

from __future__ import annotations

from pathlib import Path

import pytest

from lunheng.parsing.dispatch import parse_here
from lunheng.parsing.tables import table_rows
from lunheng.types import Document, Limits


def parse(body: str, folder: Path, head: str = "") -> Document:
    page = f"<!DOCTYPE html><html><head><meta charset=utf-8>{head}</head><body>{body}</body></html>"
    (folder / "a.html").write_text(page, encoding="utf-8")
    return parse_here(folder / "a.html", Limits(), "off")


def shown(document: Document) -> list[tuple[str, str]]:
    return [(e.kind, e.text) for e in document.elements if not e.hidden]


@pytest.mark.parametrize(
    "markup",
    [
        "<p style='font-size:1px'>{}</p>",
        "<p style='position:absolute; left:-9999px'>{}</p>",
        "<p style='height:0;overflow:hidden'>{}</p>",
        "<p style='clip: rect(0,0,0,0); position:absolute'>{}</p>",
        "<p style='color:transparent'>{}</p>",
        "<p>seen <span style='opacity:0.01'>{}</span></p>",
        "<p><font color='#FFFFFF'>{}</font></p>",
        "<div aria-hidden='true'>{}</div>",
        "<p class='ghost'>{}</p>",
        "<ul><li>seen</li><li class='ghost'>{}</li></ul>",
        "<table bgcolor='#003'><tr><td>a</td><td>b <b class=ghost>{}</b></td></tr></table>",
        "<script>{}</script><style>{}</style><!-- {} --><template>{}</template><noscript>{}</noscript>",
    ],
)
def test_what_a_reader_does_not_see_is_not_shown(markup: str, tmp_path: Path) -> None:
    style = "<style>/* x */ .ghost, #none:hover { display : none } @media print { p { display:none } }</style>"
    for secret in ("obey me", "服从我"):
        document = parse(f"<p>visible 可见</p>{markup.replace('{}', secret)}", tmp_path, style)
        assert all(secret not in text for _, text in shown(document))
        assert ("paragraph", "visible 可见") in shown(document)
        kept = "<script>" not in markup
        assert [e.text for e in document.elements if e.hidden] == [secret] * kept


@pytest.mark.parametrize(
    "markup",
    [
        "<div style='background:#036'><p style='color:#fff'>{}</p></div>",
        "<table><tr><td bgcolor='navy'><font color='white'>{}</font></td><td>x</td></tr></table>",
        "<p style='background-color: transparent'>{}</p>",
        "<p style='text-indent:2em; opacity:0.9; font-size:10px'>{}</p>",
    ],
)
def test_what_a_reader_sees_is_shown(markup: str, tmp_path: Path) -> None:
    assert any("正文 text" in text for _, text in shown(parse(markup.replace("{}", "正文 text"), tmp_path)))


def test_boilerplate_goes_and_content_stays(tmp_path: Path) -> None:
    document = parse(
        "<header><a href=/>Logo</a></header><nav>Menu</nav><div class='cookie-banner'>We use cookies 我们使用</div>"
        "<ul><li><a href=/a>Home</a><li><a href=/b>News</a><li><a href=/c>About</a><li><a href=/d>Jobs</a></ul>"
        "<main><h1>年假 Leave</h1><form><p>Ten days.</p><input value=x><button>Send</button></form></main>"
        "<aside>Advert</aside><div role=dialog>Subscribe!</div><footer>© 2026</footer>",
        tmp_path,
        "<title>年假 Leave - 某公司</title>",
    )
    assert [t for t in shown(document) if t[1] not in ("Logo",)] == [
        ("heading", "年假 Leave"),
        ("paragraph", "Ten days."),
    ]
    assert document.title == "年假 Leave"


def test_structure(tmp_path: Path) -> None:
    document = parse(
        "<h2>甲</h2><p>See <a href='https://example.org/x'>the guide</a>.<br>次行</p>"
        "<dl><dt>RTO</dt><dd>恢复时间</dd><dt>RPO</dt><dd>a</dd><dd>b</dd></dl>"
        "<figure><img src=x.png alt='穹顶的照片'><figcaption>图 1 <em>穹顶</em></figcaption></figure>"
        "<ol start=3><li>three<ul><li>inner <a href=/i>link</a></li></ul></li><li value=7>seven</li></ol>"
        "<pre><code>a = 1\n  b</code></pre>"
        "<p>其中 <math><mi>x</mi><annotation encoding='application/x-tex'>x^2</annotation></math></p>"
        "<script type='math/tex; mode=display'>a < b</script><blockquote>引文</blockquote>",
        tmp_path,
    )
    assert shown(document) == [
        ("heading", "甲"),
        ("paragraph", "See the guide.\n次行"),
        ("list", "- RTO: 恢复时间\n- RPO: a; b"),
        ("figure", "图 1 穹顶\n穹顶的照片"),
        ("list", "3. three\n  - inner link\n7. seven"),
        ("code", "a = 1\n  b"),
        ("paragraph", "其中 $x^2$"),
        ("formula", "a < b"),
        ("paragraph", "引文"),
    ]
    assert [link for e in document.elements for link in e.links] == [
        ("the guide", "https://example.org/x"),
        ("link", "/i"),
    ]


def test_tables(tmp_path: Path) -> None:
    document = parse(
        "<p>表 2 人数</p><table><thead><tr><th rowspan=2>城市<th colspan=2>人数<tr><th>2024<th>2025</thead>"
        "<tfoot><tr><td>合计<td>3<td>7</tfoot><tr><td>北京<td><a href=/bj>3</a><td>7</table>"
        "<table><tr><th colspan=6>wide</th></tr><tr><td colspan=2>a</td><td colspan=4>b</td></tr></table>"
        "<table role=presentation><tr><td><p>laid out</p><td>beside</table>"
        "<table><tr><td>k</td><td><table><tr><td>x</td><td>y</td></tr></table></td></tr><tr><th>m</th><td>n</td></table>",
        tmp_path,
    )
    tables = [e for e in document.elements if e.kind == "table"]
    assert [table_rows(t.text) for t in tables] == [
        [["城市", "人数 / 2024", "人数 / 2025"], ["北京", "3", "7"], ["合计", "3", "7"]],
        [["wide", "wide"], ["a", "b"]],
        [["k", "x; y"], ["m", "n"]],
    ]
    assert tables[0].caption == "表 2 人数" and tables[0].links == (("3", "/bj"),)
    assert ("paragraph", "laid out") in shown(document)


def test_stated_properties(tmp_path: Path) -> None:
    head = (
        "<meta name=author content='黎若禾'><script type='application/ld+json'>"
        '{"datePublished": "2026-03-01T08:00:00+08:00", "dateModified": "2026-04-02"}</script>'
    )
    document = parse("<p>x</p>", tmp_path, head)
    assert document.author == "黎若禾" and document.inferred == ()
    assert document.created_at and document.created_at.isoformat() == "2026-03-01T00:00:00+00:00"
    assert document.last_modified and document.last_modified.date().isoformat() == "2026-04-02"
