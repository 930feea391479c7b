"""Which logs and witnesses count: a policy as a text file (C2SP tlog-policy).

log <key> [<address>]
witness <name> <key> [<address>]
group <name> any|all|<k> <name>...
quorum <name>|none

Which keys may sign records is beyond that document. Titer reads it from lines that others take for comments, so that
one file serves all; a key is 64 hexadecimal digits (Ed25519):

#titer capture|derive|administrator <key>
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from titer.errors import RecordError
from titer.provenance.ledger.checkpoint import Checkpoint
from titer.provenance.ledger.note import COSIGNATURE, ML_DSA_44, Note, Verifier, opened

LARGEST = 1 << 18
"""The most bytes of a policy."""

_BYTES = re.compile(r"[\t\n\x20-\x7e\x80-\xff]*")
_HASH = re.compile(r"[0-9a-f]{64}")
_COUNT = re.compile(r"[1-9][0-9]{0,5}")
_COSIGNERS = (COSIGNATURE, ML_DSA_44)


@dataclass(frozen=True)
class Accepted:
    """What a policy says of a note.

    Arguments
        checkpoint: what was signed. logs: the log's keys that signed it. witnesses: names of those that cosigned, with
            the time each tells. satisfied: whether they make up the quorum.
    """

    checkpoint: Checkpoint
    logs: tuple[Verifier, ...]
    witnesses: Mapping[str, int]
    satisfied: bool


@dataclass(frozen=True)
class Policy:
    """A policy.

    Arguments
        logs: keys of the logs, whose names are the logs' names. witnesses: keys by name in this file.
        groups: how many of which members make a group count. quorum: the witness or group that must; None for none.
        roles: by key that signs records what for, `capture` and `derive`; empty where every key may.
        administrators: keys that may bring in and revoke others.
    """

    logs: tuple[Verifier, ...]
    witnesses: Mapping[str, Verifier]
    groups: Mapping[str, tuple[int, tuple[str, ...]]]
    quorum: str | None
    roles: Mapping[str, frozenset[str]]
    administrators: frozenset[str]

    @classmethod
    def parse(cls, raw: bytes) -> Policy:
        """Read a policy; RecordError for lines that the document does not allow."""
        # Bytes are taken as they are: names count by their bytes, not by what they look like.
        text = raw.decode("latin-1")
        if len(raw) > LARGEST or not _BYTES.fullmatch(text):
            raise _invalid("a text without control characters but tabs and line ends", f"{len(raw)} bytes", 0)
        made = _Parser()
        for number, line in enumerate(text.split("\n"), 1):
            words = line.replace("\t", " ").split(" ")
            words = [word for word in words if word]
            if words and words[0] == "#titer":
                made.key(number, words[1:])
            elif words and not words[0].startswith("#"):
                made.line(number, words)
        if made.quorum is None:
            raise _invalid("a line `quorum`", "none", 0)
        administrators = frozenset(key for key, tasks in made.keys.items() if "administrator" in tasks)
        roles = {key: tasks for key, tasks in made.keys.items() if key not in administrators}
        quorum = None if made.quorum == "none" else made.quorum
        return cls(tuple(made.logs), made.witnesses, made.groups, quorum, roles, administrators)

    def judge(self, raw: bytes) -> Accepted:
        """Check a note's signatures; RecordError unless a log of this policy signed it."""
        note = Note.parse(raw)
        found = opened(note, [*self.logs, *self.witnesses.values()])
        checkpoint = Checkpoint.parse(note.text)
        logs = tuple(each for each in self.logs if each in found and each.name == checkpoint.origin)
        if not logs:
            known = ", ".join(each.name for each in self.logs)
            raise RecordError(
                f"a checkpoint signed by a log of the policy ({known})",
                f"one of {checkpoint.origin!r} without such a signature",
                "check that receipt and policy belong together",
                code="policy.log",
            )
        seen = {name: found[key] for name, key in self.witnesses.items() if key in found}
        return Accepted(checkpoint, logs, seen, self.quorum is None or self._counts(self.quorum, seen))

    def _counts(self, name: str, seen: Mapping[str, int]) -> bool:
        if name not in self.groups:
            return name in seen
        needed, members = self.groups[name]
        return sum(self._counts(each, seen) for each in members) >= needed


class _Parser:
    def __init__(self) -> None:
        self.logs: list[Verifier] = []
        self.witnesses: dict[str, Verifier] = {}
        self.groups: dict[str, tuple[int, tuple[str, ...]]] = {}
        self.quorum: str | None = None
        self.members: set[str] = set()
        self.keys: dict[str, frozenset[str]] = {}

    def key(self, number: int, words: list[str]) -> None:
        match words:
            case ["capture" | "derive" | "administrator" as task, key] if _HASH.fullmatch(key):
                tasks = self.keys.get(key, frozenset())
                if task in tasks or (tasks and "administrator" in (task, *tasks)):
                    raise _invalid("each key once for each task, an administrator for no other", key, number)
                self.keys[key] = tasks | {task}
            case _:
                raise _invalid("capture, derive or administrator, and a key of 64 digits", " ".join(words), number)

    def line(self, number: int, words: list[str]) -> None:
        match words:
            case ["log", key] | ["log", key, _]:
                self.logs.append(_key(number, key, [each.key for each in self.logs], (1, *_COSIGNERS)))
            case ["witness", name, key] | ["witness", name, key, _]:
                self.name(number, name)
                keys = [each.key for each in self.witnesses.values()]
                self.witnesses[name] = _key(number, key, keys, _COSIGNERS)
            case ["group", name, many, *members] if members:
                self.name(number, name)
                self.group(number, name, many, members)
            case ["quorum", name] if self.quorum is None:
                if name != "none" and not self.known(name):
                    raise _invalid("a witness or a group of a line before", name, number)
                self.quorum = name
            case _:
                raise _invalid("log, witness, group, or one line quorum, as tlog-policy says", words[0], number)

    def known(self, name: str) -> bool:
        return name in self.witnesses or name in self.groups

    def name(self, number: int, name: str) -> None:
        if name == "none" or self.known(name):
            raise _invalid("a new name", name, number)

    def group(self, number: int, name: str, many: str, members: list[str]) -> None:
        for each in members:
            if not self.known(each) or each in self.members:
                raise _invalid("members of lines before, each in one group and once", each, number)
            self.members.add(each)
        if many not in ("any", "all") and not _COUNT.fullmatch(many):
            raise _invalid("any, all or a number", many, number)
        needed = {"any": 1, "all": len(members)}.get(many) or int(many)
        if needed > len(members):
            raise _invalid(f"at most {len(members)}, the number of members", many, number)
        self.groups[name] = (needed, tuple(members))


def _key(number: int, text: str, others: list[bytes], kinds: tuple[int, ...]) -> Verifier:
    try:
        key = Verifier.parse(text.encode("latin-1").decode())
    except (RecordError, UnicodeDecodeError) as error:
        raise _invalid("a key as its owner printed it", f"{text[:60]} ({error})", number) from error
    if key.key in others or key.kind not in kinds:
        raise _invalid("a key of the kind for this line, and each once", text[:60], number)
    return key


def _invalid(expected: str, got: str, line: int) -> RecordError:
    place = f"{got} in line {line}" if line else got
    return RecordError(expected, place, "mend the policy's file", code="policy.invalid")
