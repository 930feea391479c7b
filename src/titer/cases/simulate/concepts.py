"""The language of simulated notes: vocabulary, synonyms, and the parser that re-derives the truth from the words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from titer.cases.simulate import thesaurus
from titer.errors import DataError

DOMAINS = ("cardiac", "respiratory", "neurological")
CLASSES = {
    2: ("routine", "urgent"),
    3: ("routine", "cardiac", "respiratory"),
    4: ("routine", "cardiac", "respiratory", "neurological"),
}
NUMBERS = range(2, 200)
ENOUGH = 3
STOP = "."
PADDING = "[padding]"


@dataclass(frozen=True)
class Concept:
    """A group of words with one meaning.

    Arguments
        words: the words, the commonest first.
        cue: "present", "absent", "family" or "past" if it says what follows in the sentence; else empty.
        domain, points: what a finding or a taken drug counts for; 0 points for what decides nothing.
    """

    words: tuple[str, ...]
    cue: str = ""
    domain: str = ""
    points: int = 0


@dataclass(frozen=True)
class Language:
    """All words of simulated notes.

    Arguments
        vocabulary: the words by token number; 0 is padding.
        concept: [V] the concept of each word, or None for words around it.
    """

    vocabulary: tuple[str, ...]
    concept: tuple[Concept | None, ...]
    number: dict[str, int]

    def synonyms(self) -> dict[int, tuple[int, ...]]:
        """Token number -> the other token numbers of its concept."""
        found = {}
        for word, own in zip(self.vocabulary, self.concept, strict=True):
            if own is not None and len(own.words) > 1:
                found[self.number[word]] = tuple(self.number[other] for other in own.words if other != word)
        return found


@lru_cache(maxsize=1)
def language() -> Language:
    """The one language of the simulated notes.

    >>> 500 <= len(language().vocabulary) <= 2000
    True
    """
    concepts = list(_concepts())
    words: dict[str, Concept | None] = {PADDING: None, STOP: None}
    for each in concepts:
        words.update(dict.fromkeys(each.words, each))
    for sentence in thesaurus.FILLERS:
        for word in sentence.split():
            if not word.startswith("#"):
                words.setdefault(word, None)
    for number in NUMBERS:
        words[str(number)] = None
    vocabulary = tuple(words)
    return Language(vocabulary, tuple(words.values()), {word: number for number, word in enumerate(vocabulary)})


def label_of(tokens: Iterable[int], classes: int = 2) -> int:
    """The true class of a note, from its words alone: the concept parser.

    Within a sentence the last cue (reports, denies, mother-had, resolved, ...) says whether the findings and drugs
    after it are present; without a cue they are. Present ones bring points to their domain: 2 for a cardinal finding,
    1 for a minor one or a drug. A domain needs 3; the one with most points (the first of equals) is the class,
    "urgent" where there are two classes, and "routine" where none has enough. Words are read as concepts before
    anything is counted, so that no exchange of synonyms can change the answer.

    Arguments
        tokens: token numbers of one note, padding included or not. classes: 2, 3 or 4.

    >>> say = language().number
    >>> label_of([say[w] for w in "reports chest-pain . takes gtn .".split()])
    1
    >>> label_of([say[w] for w in "denies chest-pain . takes gtn .".split()])
    0
    """
    if classes not in CLASSES:
        raise DataError("2, 3 or 4 classes", str(classes), "correct 'classes'")
    known = language()
    points = dict.fromkeys(DOMAINS[: max(1, classes - 1)] if classes > 2 else DOMAINS, 0)
    present = True
    for token in tokens:
        if not 0 <= token < len(known.vocabulary):
            raise DataError(
                f"token numbers of 0 to {len(known.vocabulary) - 1}", str(token), "encode the note with its vocabulary"
            )
        concept = known.concept[token]
        if known.vocabulary[token] == STOP:
            present = True
        elif concept is not None and concept.cue:
            present = concept.cue == "present"
        elif concept is not None and present and concept.domain in points:
            points[concept.domain] += concept.points
    best = max(points, key=lambda domain: points[domain])
    if points[best] < ENOUGH:
        return 0
    return 1 if classes == 2 else 1 + DOMAINS.index(best)


def _concepts() -> Iterable[Concept]:
    for cue, lines in thesaurus.CUES.items():
        yield from (Concept(tuple(line.split()), cue=cue) for line in lines)
    for table, points in ((thesaurus.CARDINAL, 2), (thesaurus.MINOR, 1), (thesaurus.DRUGS, 1)):
        for domain, lines in table.items():
            yield from (Concept(tuple(line.split()), domain=domain, points=points) for line in lines)
    for line in (*thesaurus.BENIGN, *thesaurus.HARMLESS_DRUGS, *thesaurus.PLAIN):
        yield Concept(tuple(line.split()))
