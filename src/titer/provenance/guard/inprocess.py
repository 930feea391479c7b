"""The guard around a model in the same process.

The guard itself makes the model's input, from the content that it has digested (see `content.py`), digests that too,
and hands over a copy that nobody else holds. Its decision, a leaf of the ledger, binds

    leaf hash of the record -> preparation -> input digest -> model digest -> output digest
"""

from __future__ import annotations

import hashlib
import logging
import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from titer.errors import GuardError, ProvenanceError
from titer.provenance.fingerprint import Fingerprint
from titer.provenance.fingerprint import Limits as Parsing
from titer.provenance.guard.content import Content, digested
from titer.provenance.guard.decide import Decider, Decision
from titer.provenance.guard.index import Index
from titer.provenance.guard.limits import Limits
from titer.provenance.guard.policy import SOUND, Action, Finding, Policy
from titer.provenance.guard.quarantine import Quarantine, require_two
from titer.provenance.guard.quiet import quiet
from titer.provenance.guard.stages import begin, stage, under_way
from titer.provenance.guard.tensor import private_copy, tensor_digest
from titer.provenance.guard.trail.codes import known
from titer.provenance.guard.trail.event import Done, Event, event_of
from titer.provenance.guard.trail.listeners import Listener, Listeners
from titer.provenance.guard.view import LedgerView, View
from titer.provenance.ledger.chain import Chain
from titer.provenance.ledger.ledger import Appended, Ledger
from titer.provenance.ledger.record import parse

_LOG = logging.getLogger(__name__)
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Case:
    """What a detector may look at: the object, its fingerprint (None without), and the model with its input."""

    source: bytes | Mapping[str, bytes]
    fingerprint: Fingerprint | None
    tensor: Any
    model: Callable[[Any], Any]


@dataclass(frozen=True)
class Answer:
    """What the guard did.

    Arguments
        action: `pass`, `banner` or `quarantine`. verdict, reasons: why; detectors' codes come last.
        output: the model's answer; None where it was not asked. banner: what has to stand beside the answer, if any.
        decision: the decision's leaf, and where it stands; None only where `observe` let pass what could not be noted.
        checked: all that is known of the object. held: its name in the quarantine.
    """

    action: Action
    verdict: str
    reasons: tuple[str, ...]
    output: Any
    banner: str
    leaf: bytes
    decision: Appended | None
    checked: Decision
    held: str = ""


class Guarded:
    """A model that is only asked through the guard; made by `guard`."""

    def __init__(
        self,
        model: Callable[[Any], Any],
        decider: Decider,
        chain: Chain,
        *,
        model_digest: str,
        prepare: Callable[[Any], Any],
        preparation: str,
        quarantine: Quarantine | None,
        limits: Limits,
        content: Content = digested,
        kinds: Collection[str] | None = None,
        listeners: Sequence[Listener] = (),
    ) -> None:
        for what, value in (("the model's digest", model_digest), ("the preparation's digest", preparation)):
            if not _HASH.fullmatch(value):
                raise GuardError(
                    f"{what} as 64 hexadecimal digits",
                    repr(value)[:40],
                    "hash the weights' file; `program_digest` makes that of a preparation",
                    code="guard.digest",
                )
        if quarantine is None and decider.policy.mode != "observe":
            raise GuardError(
                "a quarantine, for what is withheld", "none", "give a folder for it", code="guard.quarantine"
            )
        self._model, self._decider, self._chain = model, decider, chain
        self._model_digest, self._prepare, self._preparation = model_digest, prepare, preparation
        self._quarantine, self._limits = quarantine, limits
        self._content, self._kinds = content, kinds
        self.policy = decider.policy
        self.listeners = Listeners(listeners)

    def __call__(
        self,
        source: Any,
        kind: str | None = None,
        *,
        subject: str | None = None,
        encounter: str | None = None,
        expected: bytes | None = None,
        tensor: Any = None,
        caller: str = "",
    ) -> Answer:
        """Check one object, ask the model if the policy lets it pass, and note the decision.

        Arguments
            source: bytes, a Path, an open binary file, or files by name. kind: of data, if its bytes do not tell.
            subject, encounter, expected: as in `Decider.decide`.
            tensor: the model's input where the caller has made it; it must be what the guard makes of the source.
            caller: who asks, for the limit on requests.

        Raises what the model or the preparation raises, once that is noted.
        """
        begin(caller)
        raw, checked = self._check(source, kind, subject, encounter, expected, caller)
        action = self.policy.action(checked.verdict)
        given = None
        if action != "quarantine" and raw is not None:
            given = self._input(raw, checked)
            if tensor is not None and tensor_digest(tensor) != tensor_digest(given):
                told = "The model's input is not what its preparation makes of the object."
                reasons = ("tensor.mismatch", *checked.reasons)
                checked = replace(checked, verdict="altered", reasons=reasons, sentence=told)
                action = self.policy.action("altered")
                if action != "quarantine":
                    # What the caller would have the model see is what the site has chosen to let pass.
                    given = private_copy(tensor)
        if raw is None:
            action = "quarantine"
        found = (
            () if action == "quarantine" else self._detect(Case(raw or b"", checked.fingerprint, given, self._model))
        )
        if found:
            action = self.policy.action(checked.verdict, detected=True)
            checked = replace(checked, reasons=(*checked.reasons, *(each.code for each in found)))
        if checked.reasons:
            _LOG.warning("%s: %s (%s)", action, checked.verdict, ", ".join(known(checked.reasons)))
        return self._withhold(raw, kind, checked) if action == "quarantine" else self._ask(given, action, checked)

    def override(self, name: str, first: str, second: str, reason: str) -> Answer:
        """Ask the model about a withheld object because two people say so; that is a leaf of its own.

        Arguments
            name: in the quarantine. first, second: their names, kept with the object; the leaf holds them blinded.
            reason: in a word or a sentence; the leaf holds it blinded.
        """
        begin()
        people = require_two(first, second)
        if not reason.strip():
            raise GuardError("a reason", "none", "say why the object may pass", code="override.reason")
        if self._quarantine is None:
            raise GuardError("a quarantine", "none", "give one to the guard", code="guard.quarantine")
        held = self._quarantine.get(name)
        if held.released:
            raise GuardError(
                "an object that is withheld",
                "one that two people have released already",
                "look for its decision with `titer guard explain`",
                code="override.released",
            )
        raw = self._quarantine.read(held)
        checked = Decision(held.verdict, held.reasons, f"Released by two people: {held.verdict}.")
        given = self._input(raw, replace(checked, fingerprint=self._decider.fingerprint(raw, held.kind)))
        blind = self._decider.index.blinded
        more = {
            "first": blind("person", people[0]).hex(),
            "second": blind("person", people[1]).hex(),
            "reason": blind("reason", reason).hex(),
        }
        refs = tuple(each for each in (held.record, held.decision) if each)
        answer = self._ask(given, "banner", checked, mode="override", refs=refs, more=more)
        self._quarantine.release(held, *people)
        return replace(answer, held=name)

    def _check(
        self,
        source: Any,
        kind: str | None,
        subject: str | None,
        encounter: str | None,
        expected: bytes | None,
        caller: str,
    ) -> tuple[bytes | dict[str, bytes] | None, Decision]:
        if not self._limits.allows(caller):
            return None, Decision("error", ("limit.rate",), "Its caller asks too often.")
        try:
            with stage("read"):
                raw = self._limits.read(source)
        except GuardError as error:
            return None, Decision("error", (error.code,), "It is too large to be checked.")
        told = self._decider.decide(raw, kind, subject=subject, encounter=encounter, expected=expected)
        return raw, told

    @stage("prepare")
    def _input(self, raw: Any, checked: Decision) -> Any:
        try:
            given = private_copy(self._prepare(self._seen(raw, checked.fingerprint)))
            tensor_digest(given)
        except Exception:
            self._note(replace(checked, reasons=("prepare.failed", *checked.reasons)), {}, done="failed")
            raise
        return given

    def _seen(self, raw: Any, made: Fingerprint | None) -> Any:
        """What the preparation is given; of what has no fingerprint, and so no sound verdict, the object itself."""
        if made is None:
            return raw
        if self._kinds is not None and made.kind not in self._kinds:
            # One file may be two objects: digested as one kind, it must not be prepared as another.
            raise GuardError(
                f"an object of kind {' or '.join(sorted(self._kinds))}",
                made.kind,
                "send it to the guard of its model",
                code="prepare.kind",
            )
        return self._content(raw, made, self._decider.limits)

    @stage("detectors")
    def _detect(self, case: Case) -> tuple[Finding, ...]:
        """What detectors find; one that fails is itself a finding."""
        found = []
        for detector in self.policy.detectors:
            try:
                told = detector(replace(case, tensor=private_copy(case.tensor)))
            except Exception as error:
                _LOG.error("a detector failed", exc_info=quiet(error))
                told = Finding("detector.failed", float("nan"))
            if told is not None:
                found.append(told)
        return tuple(found)

    def _ask(
        self,
        given: Any,
        action: Action,
        checked: Decision,
        *,
        mode: str | None = None,
        refs: tuple[str, ...] | None = None,
        more: Mapping[str, str] | None = None,
    ) -> Answer:
        ext = {
            "program": self._preparation,
            "tensor": tensor_digest(given).hex(),
            "model": self._model_digest,
            **(more or {}),
        }
        try:
            with stage("model"):
                output = self._model(given)
            ext["output"] = tensor_digest(output).hex()
        except Exception:
            self._note(checked, ext, mode, refs, done="failed")
            raise
        leaf, done = self._note(checked, ext, mode, refs, done=action)
        banner = checked.sentence or "A detector found it suspicious." if action == "banner" else ""
        if action == "banner" and checked.verdict in SOUND and mode is None:
            banner = "It is what was captured, but a detector found it suspicious."
        return Answer(action, checked.verdict, checked.reasons, output, banner, leaf, done, checked)

    def _withhold(self, raw: bytes | Mapping[str, bytes] | None, kind: str | None, checked: Decision) -> Answer:
        failed: ProvenanceError | None = None
        leaf, done = b"", None
        try:
            leaf, done = self._note(checked, {}, done="quarantine")
        except ProvenanceError as error:
            failed = error
        name = ""
        if raw is not None and self._quarantine is not None:
            # Kept even where the decision could not be noted: nothing is dropped.
            decision = b"" if done is None else done.leaf_hash
            name = self._quarantine.keep(
                raw, checked.verdict, checked.reasons, decision=decision, kind=kind, record=checked.leaf_hash
            ).name
        if failed is not None:
            raise failed
        return Answer("quarantine", checked.verdict, checked.reasons, None, checked.sentence, leaf, done, checked, name)

    def _note(
        self,
        checked: Decision,
        ext: Mapping[str, str | int],
        mode: str | None = None,
        refs: tuple[str, ...] | None = None,
        *,
        done: Done,
    ) -> tuple[bytes, Appended | None]:
        """The decision as a leaf, durable before anybody is answered; then listeners are told."""
        told: dict[str, str | int] = {"verdict": checked.verdict, "mode": mode or self.policy.mode}
        if checked.reasons:
            told["reason"] = hashlib.sha256(" ".join(checked.reasons).encode()).hexdigest()
        told.update(ext)
        if refs is None:
            refs = () if checked.leaf_hash is None else (checked.leaf_hash.hex(),)
        try:
            with stage("decision"):
                leaf, appended = self._chain.add("decision", refs=refs, ext=told, wait="durable")
        except ProvenanceError as error:
            self._tell(checked, done, b"", None, mode)
            if mode is None and self.policy.mode == "observe":
                _LOG.critical("a decision could not be noted: %s", error.code)
                return b"", None
            raise
        self._tell(checked, done, leaf, appended, mode)
        return leaf, appended

    def _tell(self, checked: Decision, done: Done, leaf: bytes, appended: Appended | None, mode: str | None) -> None:
        def make() -> Event:
            call = under_way()
            more: dict[str, Any] = {
                "reasons": checked.reasons,
                "data": "none" if checked.fingerprint is None else checked.fingerprint.kind,
                "caller": self._decider.index.blinded("caller", call.caller).hex() if call.caller else "",
                "seconds": dict(call.seconds),
            }
            if appended is not None:
                return event_of(leaf, appended.leaf_hash, appended.index, done, **more)
            kind: Literal["override", "decision"] = "override" if mode == "override" else "decision"
            now, spoken = int(time.time()), mode or self.policy.mode
            return Event(kind, done, self._chain.public, now, checked.verdict, spoken, **more)

        self.listeners(make)


def guard(
    model: Callable[[Any], Any],
    ledger: Ledger,
    policy: Policy,
    *,
    index: Index,
    key: Ed25519PrivateKey,
    model_digest: str,
    prepare: Callable[[Any], Any],
    preparation: str,
    quarantine: Quarantine | None = None,
    view: View | None = None,
    origin: str | None = None,
    limits: Limits | None = None,
    parsing: Parsing | None = None,
    content: Content = digested,
    kinds: Collection[str] | None = None,
    listeners: Sequence[Listener] = (),
) -> Guarded:
    """Put the guard in front of a model.

    Arguments
        model: takes what `prepare` makes, gives arrays, numbers or text. ledger: where decisions are appended.
        policy: what the site asks. index: the private index. key: the guard's own, which signs decisions.
        model_digest: SHA-256 (hexadecimal) of the weights. prepare: makes the model's input from what `content` gives.
        preparation: its digest, see `program_digest`. quarantine: where withheld objects are kept.
        view, origin: another log to look captures up in. limits: before parsing. parsing: while parsing.
        content: what `prepare` is given of an object, by default its digested content alone; see
            `titer.provenance.guard.content`. kinds: of data that `prepare` takes, None for all.
        listeners: told of each decision once it is durable, see `titer.provenance.guard.trail`.
    """
    decider = Decider(view or LedgerView(ledger), origin or ledger.origin, index, policy, limits=parsing)
    return Guarded(
        model,
        decider,
        Chain(ledger, key),
        model_digest=model_digest,
        prepare=prepare,
        preparation=preparation,
        quarantine=quarantine,
        limits=limits or Limits(),
        content=content,
        kinds=kinds,
        listeners=listeners,
    )


def unbound(leaf: bytes, **told: Any) -> tuple[str, ...]:
    """For audits: which links of a decision do not hold; empty where all that is told agrees.

    Arguments
        leaf: of the decision. record: leaf hash of the capture. program, model: digests (hexadecimal).
        tensor, output: the values themselves.
    """
    decision = parse(leaf)
    wrong = []
    for name, value in told.items():
        if name == "record":
            agrees = value.hex() in decision.refs
        else:
            wanted = tensor_digest(value).hex() if name in ("tensor", "output") else value
            agrees = decision.ext.get(name) == wanted
        if not agrees:
            wrong.append(name)
    return tuple(wrong)
