"""Captured cases: each case of a data set as a record of a ledger, and which cases still are what was captured.

A case is recorded as one row of a table: the digest of its input as the audit reads it, its target in words, and its
mask. So a changed pixel, sample, word or number is found, and so is a flipped label, whatever kind of data it is. The
name of a case and its patient are left out: they are numbers that depend on the other cases.

Source: Finlayson et al. 2019 (doi 10.1126/science.aaw4399), whose fingerprint at capture this applies to training
data: a case that was altered after its capture cannot teach a model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from titer.audit.plan import Plan, ReceiptsSpec, Subject
from titer.cases.case import Array
from titer.cases.dataset import Dataset
from titer.errors import DataError

if TYPE_CHECKING:
    from titer.audit.report.schema import EvidenceRecord
    from titer.provenance.guard.capture import Capture
    from titer.provenance.guard.index import Index, Known
    from titer.provenance.ledger.record import Opening

_TOGETHER = 256
_SOUND = ("verified", "derived")


def case_row(dataset: Dataset, row: int) -> dict[str, Any]:
    """What is recorded of one case.

    Arguments
        dataset: where it stands. row: its number there.
    """
    from titer.provenance.guard.tensor import tensor_digest

    cases = dataset.cases
    return {
        "input": tensor_digest(cases.inputs[row]),
        "target": _target(dataset, cases.targets[row]),
        "unit": dataset.space.unit,
        "mask": None if cases.masks is None else tensor_digest(cases.masks[row]),
    }


def _target(dataset: Dataset, target: Any) -> Any:
    """The truth in words that stay the same when classes are numbered otherwise; digest of a map, number as it is."""
    from titer.provenance.guard.tensor import tensor_digest

    if dataset.task == "segmentation":
        return tensor_digest(np.asarray(target))
    if dataset.task == "regression":
        return float(target)
    if dataset.task == "anomaly":
        return bool(target)
    if dataset.task == "multilabel":
        return "\n".join(sorted(name for name, there in zip(dataset.classes, target, strict=True) if there))
    return dataset.classes[int(target)]


def capture_cases(dataset: Dataset, point: Capture) -> int:
    """Record every case that has no record yet; returns how many were new.

    Arguments
        point: the capture point: its key, the ledger, and the private index in which cases are found again.
    """
    from titer.provenance.fingerprint import fingerprint_of
    from titer.provenance.ledger.record import Opening

    made = (fingerprint_of(case_row(dataset, row), "row") for row in range(len(dataset.cases)))
    fresh = [
        each for each in made if not any(_entered(point, known) for known in point.index.find("tr.v1", each["tr"]))
    ]
    for start in range(0, len(fresh), _TOGETHER):
        openings = [
            Opening.of(((each.label, each.value) for each in one.digests), one.opening)
            for one in fresh[start : start + _TOGETHER]
        ]
        point.chain.add_batch([("row", each.commitments()) for each in openings], before=_kept(point.index, openings))
    return len(fresh)


def _entered(point: Capture, known: Known) -> bool:
    """Whether a record is in the ledger: openings are kept first, so one may be there whose record never got in."""
    from titer.provenance.ledger.record import parse

    record, store = parse(known.leaf), point.chain.ledger.store
    found = store.find(record.capture_key, record.counter)
    if found is not None:
        return found.leaf_hash == known.leaf_hash
    with store.writing(lazily=True) as tx:
        return tx.queued(record.capture_key, record.counter) == known.leaf_hash


def _kept(known: Index, openings: list[Opening]) -> Callable[[Sequence[bytes]], Any]:
    """Keeps openings beside their leaves."""
    return lambda leaves: known.put_many(zip(leaves, openings, strict=True))


@dataclass(frozen=True, eq=False)
class Vouched:
    """Which cases are what was captured.

    Arguments
        sound: [n] whether each case has a valid receipt. verdicts: how many cases got each verdict of the guard.
    """

    sound: Array
    verdicts: dict[str, int]

    @property
    def sentence(self) -> str:
        """The counts in words.

        >>> Vouched(np.array([True, False]), {"verified": 1, "unknown": 1}).sentence
        '1 of 2 cases have a valid receipt (1 unknown)'
        """
        others = ", ".join(f"{count} {name}" for name, count in sorted(self.verdicts.items()) if name not in _SOUND)
        told = f"{int(self.sound.sum())} of {len(self.sound)} cases have a valid receipt"
        return f"{told} ({others})" if others else told


def vouched(dataset: Dataset, spec: ReceiptsSpec) -> Vouched:
    """Look every case up, and prove each record from the case up to the ledger's signed checkpoint."""
    from titer.provenance.guard.decide import Decider
    from titer.provenance.guard.folder import Folder
    from titer.provenance.guard.policy import Policy
    from titer.provenance.guard.view import LedgerView
    from titer.provenance.ledger.settings import opened

    with closing(Folder(Path(spec.site)).index()) as known, opened(Path(spec.ledger)) as log:
        decider = Decider(LedgerView(log), log.origin, known, Policy(captures=frozenset(spec.keys)))
        found = [decider.decide(case_row(dataset, row), "row").verdict for row in range(len(dataset.cases))]
    return Vouched(np.array([each in _SOUND for each in found]), dict(Counter(found)))


def withheld(subject: Subject, dataset: Dataset) -> tuple[Subject, Dataset]:
    """The subject with the names of all cases that lack a valid receipt, and the data set whose card says how many.

    Refuses (`DataError`) any such case where the plan says `refuse`, and data of which no case has a receipt.
    """
    spec = subject.data.receipts
    if spec is None:
        return subject, dataset
    found = vouched(dataset, spec)
    if spec.otherwise == "refuse" and not found.sound.all():
        raise DataError(
            "a valid receipt for every case", found.sentence, "find out who changed them, or write 'otherwise: drop'"
        )
    if not found.sound.any():
        raise DataError(
            "cases with a valid receipt",
            found.sentence,
            "capture them first: titer capture cases; name its key in 'keys'",
        )
    names = tuple(name for name, sound in zip(dataset.cases.ids, found.sound, strict=True) if not sound)
    where = "training" if spec.cases == "train" else "any part"
    card = replace(
        dataset.card,
        cautions=(*dataset.card.cautions, f"{found.sentence}; those without were kept out of {where}."),
    )
    data = subject.data.model_copy(update={"receipts": spec.model_copy(update={"withheld": names})})
    return subject.model_copy(update={"data": data}), _carded(dataset, card)


def receipts_of(plan: Plan) -> tuple[EvidenceRecord, ...]:
    """What a report says of the cases that were held against a ledger."""
    from titer.audit.report.schema import EvidenceRecord

    made = []
    for number, subject in enumerate(plan.subjects, 1):
        spec = subject.data.receipts
        if spec is not None:
            where = "training" if spec.cases == "train" else "any part"
            said = (
                f"Every case of {subject.name} was held against the ledger; {len(spec.withheld)} had no valid receipt"
            )
            made.append(
                EvidenceRecord(
                    id=f"receipts-{number}",
                    item="E19",
                    state="partial",
                    sentence=f"{said} and were kept out of {where}. The receipts themselves stay with the site.",
                )
            )
    return tuple(made)


def _carded(dataset: Dataset, card: Any) -> Dataset:
    made = replace(dataset, card=card)
    # The digest leaves the card out, and is costly.
    object.__setattr__(made, "_digest", dataset.digest)
    return made
