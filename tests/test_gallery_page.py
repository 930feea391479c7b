"""The gallery page: every picture is there and is described."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


def test_every_picture_of_the_gallery_is_there_described_and_credited() -> None:
    page = (DOCS / "gallery.md").read_text()
    shown = re.findall(r"!\[(.+)\]\((images/gallery/[a-z0-9-]+\.(?:png|svg))\)", page)
    assert len(shown) >= 5
    assert all((DOCS / file).exists() and "The model says" in alt for alt, file in shown)
    folder = DOCS / "images" / "gallery"
    assert {f"images/gallery/{path.name}" for path in folder.iterdir() if path.is_file()} == {file for _, file in shown}
    assert page.count("CC BY 4.0") + page.count("ODC-BY 1.0") + page.count("with citation") >= len(shown)
