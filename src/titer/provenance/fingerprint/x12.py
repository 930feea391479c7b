"""X12 837 health care claims (professional, institutional, dental): `cl` and `bp`, one fingerprint per claim.

cl   the claim (CLM and what follows) with its service lines in order, its subscriber loop and its patient loop
bp   the loop of the billing provider that the claim stands under, by itself: gateways may rewrite it

Outside both stand the interchange, group and transaction envelopes (ISA to BHT, submitter, receiver, SE to IEA) with
control numbers and times of transmission, and the numbers that HL segments count loops by: a claim has the same
digests alone and in a batch. Elements are compared as values, not as text between separators: which separators a file
declares does not matter, nor do line breaks after segments and separators with nothing behind them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from titer.provenance.fingerprint._canonical import packed
from titer.provenance.fingerprint._segments import Segment, malformed, segments
from titer.provenance.fingerprint._stream import Source, opened
from titer.provenance.fingerprint.fingerprint import Digest, Fingerprint, Limits, Running, digest, refuse

# Levels of the 837 hierarchy: who bills, who is insured, who was treated; each with the one it stands under.
_LOOPS = {b"20": "provider", b"22": "subscriber", b"23": "patient"}
_PARENT = {b"22": b"20", b"23": b"22"}
_DIGESTS = {"provider": "bp", "subscriber": "cl.subscriber", "patient": "cl.patient"}
# Envelope: how it closes, and the elements of its control number where it opens and where it closes.
_ENVELOPES = {b"ISA": (b"IEA", 13), b"GS": (b"GE", 6), b"ST": (b"SE", 2)}
_CLOSING = {end: start for start, (end, _) in _ENVELOPES.items()}


def recognizes(head: bytes) -> bool:
    """Whether the first bytes are those of an X12 interchange.

    >>> recognizes(b"ISA*00*          *00*          *ZZ*SENDER         *")
    True
    """
    return head[:3] == b"ISA" and len(head) > 3 and not head[3:4].isalnum()


def fingerprint(source: Source, limits: Limits | None = None) -> Fingerprint:
    """The fingerprint of the one claim in a file; files with several have one per claim, see `claims`.

    Refuses (`FingerprintError`, with a code) what `claims` refuses, and files with no or several claims.
    """
    found = list(claims(source, limits, most=1))
    if not found:
        raise malformed("no_claim", "a claim", "none")
    return found[0]


def claims(source: Source, limits: Limits | None = None, most: int | None = None) -> Iterator[Fingerprint]:
    """One fingerprint per claim, in the order of the file, which is read forward once.

    Source: ASC X12 implementation guides 005010X222A1 (professional), 005010X223A2 (institutional) and 005010X224A2
    (dental); X12.5 and X12.6 for envelopes and separators.

    Arguments
        source: the file as bytes, path or open binary file. limits: `segments` bounds the file and `value_bytes` one
            segment. most: more claims than this are refused.

    Refuses (`FingerprintError`, with a code) transactions other than 837, envelopes that do not close or whose counts
    and control numbers differ, and loops under the wrong parent. What was wrong further on is seen only there: a
    fingerprint counts once the iterator has come to its end.
    `opening` has the digest of each part and service line, so that the changed one can be named.
    """
    with opened(source, limits or Limits()) as stream:
        reading = _Reading(most)
        for segment in segments(stream, limits or Limits()):
            if made := reading.take(segment):
                yield made


@dataclass
class _Claim:
    """One claim under way."""

    parts: dict[str, bytes]
    lines: list[bytes] = field(default_factory=list)
    state: Running = field(default_factory=lambda: Running("cl.claim", 1))
    in_line: bool = False

    def add(self, segment: Segment) -> None:
        if segment.name == b"LX":
            self._close()
            self.in_line, self.state = True, Running("cl.line", 1)
        self.state.update(segment.canonical())

    def _close(self) -> None:
        if self.in_line:
            self.lines.append(self.state.value())
        else:
            self.parts["claim"] = self.state.value()

    def finish(self) -> Fingerprint:
        self._close()
        provider = self.parts.pop("provider")
        names = ("subscriber", "patient", "claim")
        made = digest("cl", 1, [*(packed(self.parts.get(name, b"")) for name in names), packed(*self.lines)])
        opening = {name: value.hex() for name, value in self.parts.items()}
        return Fingerprint(
            "x12",
            (Digest("bp", 1, provider), Digest("cl", 1, made)),
            {**opening, "lines": [each.hex() for each in self.lines]},
            {"lines": len(self.lines)},
        )


@dataclass
class _Envelope:
    """One open envelope: how many segments (ST) or inner envelopes (GS, ISA) it has held."""

    name: bytes
    number: bytes
    held: int = 0


@dataclass
class _Reading:
    """Envelopes and loops, segment by segment."""

    most: int | None
    count: int = 0
    open: list[_Envelope] = field(default_factory=list)
    # Numbers of the loops that are open, by level, and the digests of those that are complete, by name.
    numbers: dict[bytes, bytes] = field(default_factory=dict)
    loops: dict[str, bytes] = field(default_factory=dict)
    loop: tuple[str, Running] | None = None
    claim: _Claim | None = None

    def take(self, segment: Segment) -> Fingerprint | None:
        """The next segment; gives the claim that it ends."""
        name = segment.name
        if name in _ENVELOPES:
            self._enter(segment)
            return None
        if name in _CLOSING:
            return self._leave(segment)
        if [each.name for each in self.open] == [b"ISA"] and name == b"TA1":
            return None
        if len(self.open) < len(_ENVELOPES):
            raise malformed("envelope", "segments inside ISA, GS and ST", "one outside")
        self.open[-1].held += 1
        if name == b"HL":
            made = self._finish()
            self._level(segment)
            return made
        if name == b"CLM":
            made = self._finish()
            self._begin(segment)
            return made
        if self.claim is not None:
            self.claim.add(segment)
        elif self.loop is not None:
            self.loop[1].update(segment.canonical())
        return None

    def _enter(self, segment: Segment) -> None:
        if len(self.open) == len(_ENVELOPES) or segment.name != list(_ENVELOPES)[len(self.open)]:
            raise malformed("envelope", "ISA, GS and ST inside each other", "another order")
        if segment.name == b"ST" and segment.element(1) != b"837":
            got = "another transaction"
            raise refuse("unsupported.transaction", "837 health care claims", got, "fingerprint claims only")
        if self.open:
            self.open[-1].held += 1
        number = segment.element(_ENVELOPES[segment.name][1])
        self.open.append(_Envelope(segment.name, number, int(segment.name == b"ST")))
        self.numbers, self.loops = {}, {}

    def _leave(self, segment: Segment) -> Fingerprint | None:
        if not self.open or self.open[-1].name != _CLOSING[segment.name]:
            raise malformed("envelope", "envelopes that close as they opened", "another order")
        made = self._finish()
        closed = self.open.pop()
        held, said = closed.held + (closed.name == b"ST"), segment.element(1)
        if not said.isdigit() or len(said) > 10 or int(said) != held:
            raise malformed("count", f"a count of {held} where an envelope closes", "another")
        if segment.element(2).strip() != closed.number.strip():
            raise malformed("control", "one control number where an envelope opens and closes", "two")
        return made

    def _level(self, segment: Segment) -> None:
        level = segment.element(3)
        if level not in _LOOPS:
            raise malformed("hierarchy", "levels 20, 22 and 23", "another")
        above = _PARENT.get(level)
        if above is not None and (above not in self.numbers or segment.element(2) != self.numbers[above]):
            raise malformed("hierarchy", f"level {level.decode()} right under level {above.decode()}", "another parent")
        inside = list(_LOOPS)[list(_LOOPS).index(level) :]
        for each in inside:
            self.numbers.pop(each, None)
            self.loops.pop(_LOOPS[each], None)
        self.numbers[level] = segment.element(1)
        self.loop = (_LOOPS[level], Running(_DIGESTS[_LOOPS[level]], 1))

    def _begin(self, segment: Segment) -> None:
        if "subscriber" not in self.loops:
            raise malformed("hierarchy", "a claim under its subscriber", "one without")
        self.count += 1
        if self.most is not None and self.count > self.most:
            raise refuse(
                "unsupported.many_claims",
                f"at most {self.most} claim",
                "more",
                "use `x12.claims`, which gives each its own",
            )
        self.claim = _Claim(dict(self.loops))
        self.claim.add(segment)

    def _finish(self) -> Fingerprint | None:
        """Closes the loop or claim that is open."""
        if self.loop is not None:
            self.loops[self.loop[0]], self.loop = self.loop[1].value(), None
        made, self.claim = self.claim, None
        return made.finish() if made is not None else None
