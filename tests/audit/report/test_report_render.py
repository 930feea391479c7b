"""The page: one file, no remote request, the same bytes, hostile text harmless, structure for every reader's tools."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import pytest
from report_example import example_draft, example_report

from titer.audit.report import render as rendering
from titer.audit.report import schema as s
from titer.audit.report.render import LARGEST_PAGE, render_html
from titer.audit.report.summary import complete
from titer.errors import ReportError

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{ 7*7 }}&"
REMOTE = {"src", "href", "srcset", "action", "data", "poster", "background", "xlink:href", "formaction", "cite"}


class Page(HTMLParser):
    """Every start tag with its attributes, and the text of headings."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def values(self, name: str) -> list[str]:
        return [value for _, attributes in self.tags if (value := attributes.get(name)) is not None]


@pytest.fixture(scope="module")
def html() -> str:
    return render_html(example_report())


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_same_report_same_bytes(html: str) -> None:
    assert render_html(s.Report.model_validate(example_report().model_dump(mode="json"))) == html


def test_a_later_run_differs_in_the_timestamp_alone(html: str) -> None:
    report = example_report()
    later = report.model_copy(
        update={"identity": report.identity.model_copy(update={"created": "2031-01-01T00:00:00Z"})}
    )
    assert render_html(later).replace("2031-01-01T00:00:00Z", report.identity.created) == html


def test_nothing_is_asked_of_the_network(html: str, page: Page) -> None:
    asked = [value for name in REMOTE for value in page.values(name)]
    assert all(value.startswith(("#", "data:")) for value in asked)
    assert "url(" not in html
    assert "@import" not in html
    assert not {"script", "iframe", "object", "embed", "base", "form"} & {tag for tag, _ in page.tags}


def test_the_policy_allows_this_style_sheet_and_nothing_else(html: str, page: Page) -> None:
    policy = next(a["content"] for tag, a in page.tags if tag == "meta" and a.get("http-equiv"))
    css = html.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    assert policy is not None
    assert f"style-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")
    assert "style" not in {name for _, attributes in page.tags for name in attributes}


def test_size(html: str) -> None:
    assert len(html.encode()) < LARGEST_PAGE


def hostile(tree: Any, keep: frozenset[str]) -> Any:
    """Every free text of a report replaced by an attack on the page."""
    if isinstance(tree, dict):
        return {key: value if key in keep else hostile(value, keep) for key, value in tree.items()}
    if isinstance(tree, list):
        return [hostile(value, keep) for value in tree]
    return HOSTILE if isinstance(tree, str) else tree


def test_hostile_text_stays_text() -> None:
    fixed = frozenset({
        "schema_version", "kind", "status", "op", "id", "cell", "cells", "name", "model", "dataset", "attack", "threat",
        "clean_png", "perturbation_png", "adversarial_png", "suspect_traps", "unit", "path", "prevalence_source",
        "created", "nature",
    })  # fmt: skip
    draft = s.Draft.model_validate(hostile(example_draft().model_dump(mode="json"), fixed))
    html = render_html(complete(draft))
    page = Page(html)
    assert "script" not in {tag for tag, _ in page.tags}
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert "<script" not in html
    assert "{{ 7*7 }}" in html


def test_hostile_names_stay_text() -> None:
    text = example_draft().model_dump_json().replace("T-CNN", HOSTILE.replace('"', "'"))
    page = Page(render_html(complete(s.Draft.model_validate_json(text))))
    assert "script" not in {tag for tag, _ in page.tags}
    assert all("onerror" not in attributes for _, attributes in page.tags)


def test_large_galleries_give_way_and_say_so() -> None:
    report = example_report()
    image = next(item for item in report.gallery if isinstance(item, s.ImageItem))
    heavy = image.model_copy(update={"clean_png": "data:image/png;base64," + "A" * 900_000})
    html = render_html(report.model_copy(update={"gallery": (heavy,) * 8}))
    assert len(html.encode()) < LARGEST_PAGE
    assert "6 more stand in report.json" in html


def test_a_page_that_cannot_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "LARGEST_PAGE", 1000)
    with pytest.raises(ReportError, match="split the plan"):
        render_html(example_report())


def test_identifiers_are_unique_and_references_lead_to_them(page: Page) -> None:
    identifiers = page.values("id")
    assert len(identifiers) == len(set(identifiers))
    pointed = [
        name
        for kind in ("aria-labelledby", "aria-describedby")
        for value in page.values(kind)
        for name in value.split()
    ]
    pointed += [value[1:] for value in page.values("href") if value.startswith("#")]
    assert set(pointed) <= set(identifiers)


def test_headings_descend_one_step_at_a_time(page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_landmarks_and_language(page: Page) -> None:
    tags = [tag for tag, _ in page.tags]
    assert {tags.count(landmark) for landmark in ("main", "nav", "footer")} == {1}
    assert next(attributes for tag, attributes in page.tags if tag == "html") == {"lang": "en"}


def test_charts_have_names_and_pictures_have_words(page: Page) -> None:
    for tag, attributes in page.tags:
        if tag == "svg":
            assert attributes.get("aria-hidden") == "true" or (
                attributes["role"] == "img" and attributes["aria-labelledby"]
            )
        if tag == "img":
            assert attributes["alt"]


def test_every_chart_has_its_data_as_a_table(html: str) -> None:
    for figure in (1, 2):
        assert f"The data of figure {figure} as" in html


def test_tables_have_scopes_and_scroll_regions_have_names(page: Page) -> None:
    assert all(attributes.get("scope") in ("col", "row", "rowgroup") for tag, attributes in page.tags if tag == "th")
    regions = [attributes for _, attributes in page.tags if attributes.get("role") == "region"]
    assert regions
    assert all(a.get("tabindex") == "0" and (a.get("aria-labelledby") or a.get("aria-label")) for a in regions)


def test_withheld_groups_show_no_number(html: str) -> None:
    row = html.partition('<th scope="row">under 18</th>')[2].partition("</tr>")[0]
    assert row.count("withheld") == 4
    assert not re.search(r"\d", re.sub(r"<[^>]*>", "", row))


def test_a_report_with_the_least_content_renders() -> None:
    draft = example_draft()
    optional = ("curves", "error_shifts", "subgroups", "comparisons", "figure1", "table1", "gallery")
    empty: dict[str, object] = dict.fromkeys(optional, ())
    least = draft.model_copy(update={**empty, "limits": s.Verdict(passed=None)})
    page = Page(render_html(complete(least)))
    assert {value[1:] for value in page.values("href") if value.startswith("#")} <= set(page.values("id"))
