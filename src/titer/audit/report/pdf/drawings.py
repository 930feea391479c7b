"""Charts of the page as pictures of their own: the style sheet's rules inside, the words that stand for them beside."""

from __future__ import annotations

import html
import re
from functools import cache

from markupsafe import Markup

from titer.audit.report.render import style_sheet

FONT = "Libertinus Serif"
_CLASSES = frozenset({
    "tick", "value", "mid", "end", "start", "grid", "axis", "line", "band", "s0", "s1", "s2", "s3", "s4", "s5", "clean",
    "control", "worst", "mark", "bar", "whisker", "halo", "trace", "change", "attacked", "way", "reach", "forest",
})  # fmt: skip
_NAME = re.compile(r"\.([a-z]\w*)")


def picture(drawing: Markup) -> str:
    """A drawing as an SVG file that needs no page around it."""
    text = str(drawing)
    head, _, body = text.partition(">")
    if "xmlns" not in head:
        head = head.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1)
    self_closed = head.endswith("/")
    return text if self_closed else f"{head}><style>{styles()}</style>{body}"


def words_of(drawing: Markup) -> str:
    """What is read aloud in place of a drawing: its title and description, or nothing for an ornament."""
    found = [re.search(rf"<{name}\b[^>]*>(.*?)</{name}>", str(drawing), re.DOTALL) for name in ("title", "desc")]
    return ". ".join(html.unescape(match[1]).rstrip(".") for match in found if match)


def lettering(drawing: Markup) -> str:
    """All text that is drawn."""
    return html.unescape(" ".join(re.findall(r"<text\b[^>]*>(.*?)</text>", str(drawing), re.DOTALL)))


@cache
def styles() -> str:
    """The rules of the page that speak of charts, in the colors of paper, with the document's letters."""
    css = style_sheet()
    colors = dict(re.findall(r"--([\w-]+):\s*([^;{}]+);", css.partition("@media")[0]))
    plain = _without_media(css)
    kept = []
    for selectors, body in re.findall(r"([^{}]+)\{([^{}]*)\}", plain):
        wanted = [part.strip() for part in selectors.split(",") if _about_charts(part.strip())]
        if wanted:
            filled = re.sub(r"var\(--([\w-]+)\)", lambda match: colors[match[1]], body)
            filled = re.sub(r"font-family:[^;]*;?", "", filled).replace("650", "600")
            kept.append(f"{', '.join(wanted)} {{{filled.strip()}}}")
    return f"text {{font-family: '{FONT}';}} " + " ".join(kept)


def _about_charts(selector: str) -> bool:
    names = _NAME.findall(selector)
    return bool(names) and _CLASSES.issuperset(names) and ":" not in selector


def _without_media(css: str) -> str:
    """The rules that hold everywhere: blocks for screens, print and narrow windows left out."""
    kept, depth, skipping = [], 0, 0
    for sign in css:
        if sign == "@" and depth == 0:
            skipping = 1
        depth += (sign == "{") - (sign == "}")
        if not skipping:
            kept.append(sign)
        elif sign == "}" and depth == 0:
            skipping = 0
    return "".join(kept)
