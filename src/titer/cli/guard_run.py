"""A guard as its settings say: the site, the ledger, the model, and the paths that are open."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, Any

from titer.cli.guard_model import opened as opened_model
from titer.cli.guard_prepare import KINDS, preparation
from titer.cli.serving import dicom_tls, tls_of
from titer.provenance.guard.folder import Folder
from titer.provenance.guard.inprocess import Guarded, guard
from titer.provenance.guard.journal import Journal
from titer.provenance.guard.limits import Limits
from titer.provenance.guard.policy import Policy
from titer.provenance.ledger.settings import opened as opened_ledger

if TYPE_CHECKING:
    from titer.cli.guard_plan import DicomPath, GuardPlan, HttpPath, PolicyPlan
    from titer.provenance.guard.trail.site import Trail
    from titer.provenance.ledger.ledger import Ledger

_FAREWELL = 5.0
"""Seconds that receivers have at the end."""


@contextmanager
def running(plan: GuardPlan) -> Iterator[list[str]]:
    """The guard with all its paths; gives the addresses at which it listens."""
    with ExitStack() as stack:
        guarded, journal = stack.enter_context(_guarded(plan, "guard"))
        addresses = []
        if plan.paths.dicom is not None:
            addresses.append(stack.enter_context(_dicom(plan.paths.dicom, plan, guarded, journal)))
        if plan.paths.http is not None:
            addresses.append(stack.enter_context(_http(plan.paths.http, plan, guarded, journal)))
        yield addresses


def released(plan: GuardPlan, name: str, first: str, second: str, reason: str) -> dict[str, Any]:
    """Release a withheld object, and what came of it as plain JSON values."""
    from titer.provenance.guard.work import plain

    # A chain of its own: the guard itself may be running.
    with _guarded(plan, "override", patience=30.0) as (guarded, journal):
        answer = guarded.override(name, first, second, reason)
        journal.keep(answer)
    decision = None if answer.decision is None else answer.decision.leaf_hash.hex()
    return {"verdict": answer.verdict, "decision": decision, "banner": answer.banner, "output": plain(answer.output)}


@contextmanager
def _guarded(plan: GuardPlan, key: str, *, patience: float = 0.0) -> Iterator[tuple[Guarded, Journal]]:
    folder = Folder(plan.site)
    prepare, digest = preparation(plan.prepare)
    with ExitStack() as stack:
        signer = stack.enter_context(folder.key(key, patience=patience))
        model, weights = stack.enter_context(opened_model(plan.model))
        ledger = stack.enter_context(opened_ledger(plan.ledger))
        ledger.start()
        trail = _trail(plan, key, ledger, stack)
        guarded = guard(
            model,
            ledger,
            _policy(plan.policy),
            index=stack.enter_context(closing(folder.index())),
            key=signer,
            model_digest=weights,
            prepare=prepare,
            preparation=digest,
            kinds=KINDS[plan.prepare.kind],
            quarantine=folder.quarantine(),
            limits=_limits(plan),
            listeners=() if trail is None else trail.listeners,
        )
        if trail is not None:
            trail.watch(guarded.listeners)
        yield guarded, folder.journal()


def _trail(plan: GuardPlan, key: str, ledger: Ledger, stack: ExitStack) -> Trail | None:
    """What others are told. An override has queues of its own, as the guard itself may be running."""
    if plan.trail is None:
        return None
    from titer.provenance.guard.trail.site import Settings, Trail

    told = plan.trail.model_dump()
    told["folder"] = (plan.trail.folder or plan.site / "trail") / key
    if key != "guard":
        told["metrics_port"] = None
    trail = stack.enter_context(Trail(Settings(**told), ledger))
    # What a receiver that is away has not taken by then waits for the next time.
    stack.callback(trail.drain, _FAREWELL)
    return trail


def _policy(plan: PolicyPlan) -> Policy:
    from titer.provenance.guard.detectors.text_oddities import TextOddities

    known = {"text_oddities": TextOddities}
    return Policy(
        captures=plan.captures,
        derivers=plan.derivers,
        mode=plan.mode,
        suspect=plan.suspect,
        identity=plan.identity,
        patience=plan.patience,
        detectors=tuple(known[each]() for each in plan.detectors),
    )


def _limits(plan: GuardPlan) -> Limits:
    told = plan.limits
    return Limits(object_bytes=told.object_bytes, rate=told.rate, burst=told.burst)


@contextmanager
def _dicom(path: DicomPath, plan: GuardPlan, guarded: Guarded, journal: Journal) -> Iterator[str]:
    from titer.provenance.guard.dicom import Receiver, guarding
    from titer.provenance.guard.results import Results

    receiver = Receiver(
        guarding(guarded, journal.keep, None if path.results is None else Results(path.results).keep),
        title=path.title,
        host=path.host,
        port=path.port,
        associations=path.associations,
        object_bytes=plan.limits.object_bytes,
        callers=path.callers,
        tls=dicom_tls(path.host, tls_of(path.certificate, path.key, path.authorities), open_door=path.open),
    )
    with receiver:
        yield f"dicom://{path.title}@{path.host}:{receiver.port}"


@contextmanager
def _http(path: HttpPath, plan: GuardPlan, guarded: Guarded, journal: Journal) -> Iterator[str]:
    from titer.provenance.guard.http import application
    from titer.provenance.guard.intake import Door
    from titer.provenance.guard.serving import Server, require_safe
    from titer.provenance.guard.tokens import Tokens
    from titer.provenance.guard.work import guarding

    tokens = None if path.tokens is None else Tokens(path.tokens)
    tls = tls_of(path.certificate, path.key, path.authorities)
    require_safe(path.host, tokens, tls, open_door=path.open)
    door = Door(tokens, _limits(plan))
    served = application(guarding(guarded, journal.keep), door)
    with Server(served, host=path.host, port=path.port, tls=tls, connections=path.connections) as server:
        yield server.address
