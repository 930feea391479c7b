"""Words: none that promises too much in anything Titer writes, and sentences that every clinician can read."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from build import build, joined
from report_example import example_report

import titer.audit
from titer.audit.assemble.draft import assemble
from titer.audit.report.readers.plain import MOST_WORDS
from titer.audit.report.render import render_html
from titer.audit.report.schema import Paragraph, Report

FORBIDDEN = re.compile(
    r"\bcompl(?:y|ies|iant|iance)\b|\bguarantee[ds]?\b|\bunhackable\b|\bsecure\b|\bcertified\b(?! radius| bound)",
    re.IGNORECASE,
)
FOLDER = Path(titer.audit.__file__).parent
TEMPLATES = sorted(
    path for path in FOLDER.rglob("*") if path.suffix in (".html", ".typ", ".yaml", ".css") and path.is_file()
)
WORDS = frozenset((Path(__file__).parent / "plain_words.txt").read_text(encoding="utf-8").split())


def strings(path: Path) -> list[str]:
    """What a module can write: its strings without those that document it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documented = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documented
    ]


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_no_template_promises(path: Path) -> None:
    assert not FORBIDDEN.search(path.read_text(encoding="utf-8"))


def test_no_sentence_in_code_promises() -> None:
    modules = [path for path in FOLDER.rglob("*.py") if "run" not in path.parts]
    found = {(path.name, match[0]) for path in modules for text in strings(path) if (match := FORBIDDEN.search(text))}
    assert not found


def test_no_page_promises_but_the_technical_terms_may_stand() -> None:
    assert not FORBIDDEN.search(render_html(example_report()))
    assert not FORBIDDEN.search("a certified radius and a certified bound")
    for word in ("compliant", "guaranteed", "unhackable", "certified", "certified model", "Certified radii"):
        assert FORBIDDEN.search(f"this is {word}")


def reports() -> list[Report]:
    small = {"seeds": (0,), "cases": 60, "limits": ("1", "2")}
    weak = {"fgsm": (1.0, 1.0), "pgd": (1.0, 1.0), "noise": (1.0, 1.0)}
    return [
        example_report(),
        assemble(joined(build(name="A", **small), build(name="B", kind="signal", task="binary", **small))),
        assemble(build(kind="tokens", **small)),
        assemble(build(kind="table", task="regression", **small)),
        assemble(build(task="multilabel", **small)),
        assemble(build(task="anomaly", rates=weak, **small)),
        assemble(build(name="a name of many words " * 8, **small)),
    ]


def own_words(sentence: Paragraph) -> list[str]:
    """The words of a sentence that are no name, number or unit of the report."""
    text = sentence.text
    for reference in sentence.references:
        text = text.replace(reference.text, " ", 1)
    return re.findall(r"[A-Za-z]+", text)


def test_every_headline_is_said_in_thirty_everyday_words_at_most() -> None:
    for report in reports():
        assert report.summary.findings
        for sentence in report.summary.findings:
            assert len(sentence.text.split()) <= MOST_WORDS == 30
            assert sentence.text.endswith(".")
            assert sentence.text.count(". ") == 0
            strange = [word for word in own_words(sentence) if word.lower() not in WORDS]
            assert not strange, (sentence.text, strange)
