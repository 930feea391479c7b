"""Simulated clinical notes whose truth follows from their concepts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from titer.cases.case import Batch
from titer.cases.dataset import DataCard, Dataset, DatasetSource
from titer.cases.options import refuse_unknown, whole
from titer.cases.simulate import thesaurus
from titer.cases.simulate.concepts import CLASSES, DOMAINS, NUMBERS, STOP, Language, label_of, language
from titer.cases.simulate.patients import enlist
from titer.cases.simulate.streams import streams
from titer.cases.space import Space

_MENTIONED = float(os.environ.get("MENT", ".6"))
_DRAWS = 256
_FIRST = 0.6  # Share of the commonest word of a concept; each further word is as much rarer.


class NotesTemplate(DatasetSource):
    """Notes from a template grammar with slots for symptoms, negations and drugs, in words from a small thesaurus.

    In an urgent note the symptoms and the drug of one domain are present, in a routine note harmless ones. What is
    not present, of these and of a second domain, is mentioned in 6 of 10 notes all the same: denied, former, a
    relative's. Single words therefore tell little (a bag of words stays below 0.8); what stands before them decides.
    `titer.cases.simulate.concepts.label_of` re-derives the truth from the words, and `synonyms` lists the exchanges
    that keep it.

    Options
        cases: number of notes (2000).
        length: words per note, filled up with padding (96).
        classes: 2 (routine, urgent), 3 (routine, cardiac, respiratory) or 4 (and neurological).
        seed: other numbers give other notes; the first cases are the same whatever their number.
        cases_per_patient: notes per patient on average (3).

    >>> data = NotesTemplate().load(None, cases=30)
    >>> label_of(data.cases.inputs[0]) == data.cases.targets[0]
    np.True_
    """

    name: ClassVar[str] = "notes_template"
    embedded: ClassVar[bool] = True

    def load(
        self,
        root: Path | None,
        *,
        cases: int = 2000,
        length: int = 96,
        classes: int = 2,
        seed: int = 0,
        cases_per_patient: int = 3,
        **more: Any,
    ) -> Dataset:
        refuse_unknown(more, self.load)
        whole(cases, "cases", 20, 100_000)
        whole(seed, "seed", 0, 2**31)
        whole(cases_per_patient, "cases_per_patient", 1, 50)
        whole(length, "length", 80, 512)
        whole(classes, "classes", 2, 4)
        words = language()
        roster = enlist(cases, seed=seed, per_patient=cases_per_patient)
        inputs = np.zeros((cases, length), dtype=np.int64)
        for row, generator in enumerate(streams(seed, "note", range(cases))):
            note = _note(_Dice(generator.random(_DRAWS)), words, length, classes)
            inputs[row, : len(note)] = note
        targets = np.array([label_of(note, classes) for note in inputs.tolist()], dtype=np.int64)
        ids = tuple(f"note-{number:06d}" for number in range(cases))
        space = Space("tokens", (length,), "word", vocabulary=words.vocabulary, padding=0)
        names = CLASSES[classes]
        batch = Batch(inputs, targets, roster.codes, ids, roster.groups)
        return Dataset(
            _CARD, space, "classes", names, tuple(range(1, len(names))), batch, synonyms=words.synonyms()
        )  # fmt: skip


class _Dice:
    """Numbers in [0, 1) drawn beforehand, used one after the other."""

    def __init__(self, numbers: Any) -> None:
        self._left: Iterator[float] = iter(numbers.tolist())

    def chance(self) -> float:
        return next(self._left)

    def below(self, count: int) -> int:
        return int(next(self._left) * count)

    def one(self, items: tuple[str, ...]) -> str:
        return items[self.below(len(items))]

    def some(self, items: tuple[str, ...], count: int) -> list[str]:
        left = list(items)
        return [left.pop(self.below(len(left))) for _ in range(count)]

    def word(self, line: str) -> str:
        """A word of a concept: the commonest in 6 of 10 cases, the next in 6 of 10 of the rest, and so on."""
        words = line.split()
        number = 0
        while number < len(words) - 1 and self.chance() >= _FIRST:
            number += 1
        return words[number]


def _note(dice: _Dice, words: Language, length: int, classes: int) -> list[int]:
    """One note as token numbers, no longer than the space."""
    urgent = dice.below(classes) > 0 if classes > 2 else dice.chance() < 0.5
    domains = DOMAINS[: classes - 1] if classes > 2 else DOMAINS
    first, second = dice.some(domains, 2)
    story, other = _findings(dice, first), _findings(dice, second)
    harmless = [dice.word(line) for line in dice.some(thesaurus.BENIGN, 3)]
    drugs = [dice.word(dice.one(thesaurus.DRUGS[domain])) for domain in (first, second)]
    pill = dice.word(dice.one(thesaurus.HARMLESS_DRUGS))
    shown, hidden = (story, harmless) if urgent else (harmless, story)
    taken, stopped = (drugs[0], pill) if urgent else (pill, drugs[0])
    takes, stops = thesaurus.CUES["present"][1], thesaurus.CUES["absent"][1]
    sentences = [*_said(dice, thesaurus.CUES["present"][0], shown), [dice.word(takes), taken]]
    if dice.chance() < _MENTIONED:
        sentences += [*_hidden(dice, hidden), [dice.word(stops), stopped]]
    if dice.chance() < _MENTIONED:
        sentences += [*_hidden(dice, other), [dice.word(stops), drugs[1]]]
    room = length - sum(len(each) + 1 for each in sentences)
    for text in dice.some(thesaurus.FILLERS, 2 + dice.below(5)):
        filler = _filled(dice, text, words)
        if len(filler) + 1 <= room:
            sentences.append(filler)
            room -= len(filler) + 1
    ordered = [sentences.pop(dice.below(len(sentences))) for _ in range(len(sentences))]
    return [words.number[word] for each in ordered for word in (*each, STOP)]


def _findings(dice: _Dice, domain: str) -> list[str]:
    """Three findings of a domain, at least one of them cardinal: 4 points or more together."""
    cardinal = dice.some(thesaurus.CARDINAL[domain], 2)
    minor = dice.some(thesaurus.MINOR[domain], 1)
    return [dice.word(line) for line in (*cardinal, *minor)]


def _said(dice: _Dice, cue: str, findings: list[str]) -> list[list[str]]:
    """Findings under a cue, in one sentence or in two."""
    cut = 1 + dice.below(len(findings))
    parts = [part for part in (findings[:cut], findings[cut:]) if part]
    return [[dice.word(cue), *_listed(part)] for part in parts]


def _hidden(dice: _Dice, findings: list[str]) -> list[list[str]]:
    """Findings that are denied, a relative's or past."""
    denial, (family,), (past,) = thesaurus.CUES["absent"][0], thesaurus.CUES["family"], thesaurus.CUES["past"]
    cue = dice.one((denial, denial, family, past))
    return _said(dice, cue, findings)


def _listed(findings: list[str]) -> list[str]:
    return findings if len(findings) == 1 else [*findings[:-1], "and", findings[-1]]


def _filled(dice: _Dice, text: str, words: Language) -> list[str]:
    """A sentence that decides nothing, with its numbers and words chosen."""
    chosen = []
    for word in text.split():
        own = words.concept[words.number[word]] if word in words.number else None
        if word == "#a":
            chosen.append(str(18 + dice.below(75)))
        elif word == "#n":
            chosen.append(str(NUMBERS[dice.below(len(NUMBERS))]))
        else:
            chosen.append(word if own is None else dice.word(" ".join(own.words)))
    return chosen


_CARD = DataCard(
    name="notes_template",
    title="Simulated notes with known concepts",
    licence="Apache-2.0 (made by Titer)",
    citation="Titer, template notes",
    source="computed on request; nothing is downloaded",
    subjects="simulated patients with one to several notes each",
    cautions=(
        "No patient was involved: scores say nothing about clinical use.",
        "The truth is a rule over the words; real notes follow none.",
    ),
    synthetic=True,
)
