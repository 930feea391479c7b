"""Transcribed medical reports and the specialty they belong to."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from titer.cases.case import Batch
from titer.cases.dataset import DataCard, Dataset, DatasetSource
from titer.cases.datasets._local import Fixed
from titer.cases.files.table import read_table
from titer.cases.labels import patient_codes
from titer.cases.notes import encode_notes, synonyms_within
from titer.cases.options import refuse_unknown, whole
from titer.cases.options import words as listed
from titer.cases.readers.notes_csv import check_notes, coverage
from titer.cases.thesaurus import pairs
from titer.errors import PlanError

# The twelve that give 1,465 texts with one specialty each; broad ones (Surgery, Consult ...) repeat texts of all.
SPECIALTIES = (
    "Cardiovascular / Pulmonary", "ENT - Otolaryngology", "Gastroenterology", "Hematology - Oncology", "Nephrology",
    "Neurology", "Obstetrics / Gynecology", "Ophthalmology", "Orthopedic", "Psychiatry / Psychology", "Radiology",
    "Urology",
)  # fmt: skip
_FILES = Fixed(
    "notes_mtsamples",
    {"mtsamples.csv.xz": ("bc87b1828ad3df9a4b73e41309220115b2469053d75db4b68c1d05eae11a13c5",)},
    "set --data or TITER_DATA to a folder with notes_mtsamples/, or give the path of your own table of notes",
)


class NotesMtsamples(DatasetSource):
    """1,465 distinct reports with exactly one of twelve specialties.

    A text that stands under two of the chosen specialties is left out, and each text is read once. Synonyms are those
    of `titer.cases.thesaurus` that the vocabulary knows. No class means disease.

    Options
        length: words per note (512 keep 75 % of all words; the class often shows late in a report).
        words: size of the vocabulary (4000).
        specialties: two or more of the forty in the source.

    Source: mtsamples.com, collected by T. Boyle on Kaggle (CC0).
    """

    name: ClassVar[str] = "notes_mtsamples"

    def load(
        self, root: Path | None, *, length: int = 512, words: int = 4000, specialties: Any = SPECIALTIES, **more: Any
    ) -> Dataset:
        refuse_unknown(more, self.load)
        whole(length, "length", 8, 4096)
        whole(words, "words", 100, 50_000)
        folder = _FILES.located(root)
        frame = read_table(folder / "mtsamples.csv.xz")
        frame["medical_specialty"] = frame["medical_specialty"].str.strip()
        classes = _checked(listed(specialties, "specialties"), set(frame["medical_specialty"]))
        frame = frame[frame["medical_specialty"].isin(classes)]
        many = frame.groupby("text_id")["medical_specialty"].transform("nunique") > 1
        frame = frame[~many].drop_duplicates("text_id")
        encoded = encode_notes(frame["transcription"].tolist(), length=length, words=words)
        check_notes(encoded, "mtsamples.csv.xz")
        targets = np.array([classes.index(each) for each in frame["medical_specialty"]], dtype=np.int64)
        keys = frame["text_id"].tolist()
        batch = Batch(encoded.tokens, targets, patient_codes(keys), tuple(f"note-{int(key):04d}" for key in keys))
        synonyms = synonyms_within(pairs(), encoded.space.vocabulary)
        card = DataCard(**{**_CARD.__dict__, "cautions": (*_CARD.cautions, *coverage(encoded))})
        return Dataset(card, encoded.space, "classes", classes, (), batch, None, synonyms)


def _checked(chosen: tuple[str, ...], known: set[str]) -> tuple[str, ...]:
    wrong = [each for each in chosen if each not in known]
    if wrong or len(set(chosen)) != len(chosen) or len(chosen) < 2:
        came = repr(wrong[0]) if wrong else f"{len(set(chosen))} of {len(chosen)} different"
        raise PlanError("two or more different 'specialties' of the source", came, f"known: {', '.join(sorted(known))}")
    return chosen


_CARD = DataCard(
    name="notes_mtsamples",
    title="Transcribed medical reports by specialty",
    licence="CC0 1.0",
    citation="mtsamples.com, sample medical transcription reports, collected by T. Boyle on Kaggle (2018)",
    source="mtsamples.com by way of the R package clinspacy",
    subjects="the text: no patient key is published, and a report stands for one patient",
    cautions=(
        "Sample reports, partly written for teaching; not the notes of one hospital.",
        "Specialties were chosen by transcriptionists and overlap.",
    ),
    digests=_FILES.used(),
)
