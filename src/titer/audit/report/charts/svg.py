"""SVG elements as safe text, and the frame that every chart shares."""

from __future__ import annotations

from markupsafe import Markup, escape

Child = Markup | str
Attribute = str | float | int


def element(name: str, *children: Child, **attributes: Attribute) -> Markup:
    """An SVG element. Plain strings are escaped; a trailing underscore is dropped and others become hyphens.

    >>> element("text", "a < b", class_="tick", x=1.0, text_anchor="end")
    Markup('<text class="tick" x="1" text-anchor="end">a &lt; b</text>')
    """
    pairs = [Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), text(v)) for key, v in attributes.items()]
    body = Markup("").join(escape(child) for child in children)
    tag = Markup(name)
    if not children:
        return Markup("<{}{}/>").format(tag, Markup("").join(pairs))
    return Markup("<{0}{1}>{2}</{0}>").format(tag, Markup("").join(pairs), body)


def text(value: Attribute) -> str:
    """An attribute's text: numbers with at most two decimals, so that bytes stay few and equal.

    >>> text(1 / 3), text(2.0), text("none"), text(-0.001)
    ('0.33', '2', 'none', '0')
    """
    if isinstance(value, str):
        return value
    shown = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if shown == "-0" else shown


def frame(*children: Child, name: str, title: str, description: str, width: float, height: float) -> Markup:
    """A chart with its accessible name and description.

    Arguments
        name: unique within the page; identifiers of title and description derive from it.
        title, description: read aloud in place of the picture.
        width, height: size of the drawing in its own units; the page scales it.
    """
    return element(
        "svg",
        element("title", title, id=f"{name}-title"),
        element("desc", description, id=f"{name}-desc"),
        *children,
        role="img",
        aria_labelledby=f"{name}-title",
        aria_describedby=f"{name}-desc",
        viewBox=f"0 0 {text(width)} {text(height)}",
        class_="chart",
    )


def path(points: list[tuple[float, float]], *, closed: bool = False) -> str:
    """The `d` of a path through points.

    >>> path([(0, 0), (1.5, 2)])
    'M0 0L1.5 2'
    """
    steps = [f"{'L' if index else 'M'}{text(x)} {text(y)}" for index, (x, y) in enumerate(points)]
    return "".join(steps) + ("Z" if closed else "")
