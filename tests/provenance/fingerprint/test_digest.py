"""Digests by their definition, and what the parts of a fingerprint refuse to be."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from titer.errors import FingerprintError, PlanError
from titer.provenance.fingerprint import Digest, Fingerprint, Limits, digest, kinds
from titer.provenance.fingerprint._tree import leaf_hash, node_hash, root
from titer.provenance.fingerprint.fingerprint import KINDS, Running


@given(st.text("abcdefghij.", min_size=1, max_size=9), st.integers(1, 255), st.lists(st.binary(max_size=9)))
def test_a_digest_is_sha_256_over_name_version_and_content(name: str, version: int, chunks: list[bytes]) -> None:
    content = name.encode() + b"\0" + bytes([version]) + b"".join(chunks)
    assert digest(name, version, chunks) == hashlib.sha256(content).digest()


@pytest.mark.parametrize(("name", "version"), [("", 1), ("p\0x", 1), ("ü", 1), ("px", 0), ("px", 256)])
def test_a_name_or_version_that_could_be_taken_for_content_is_refused(name: str, version: int) -> None:
    with pytest.raises(PlanError):
        Running(name, version)


def test_a_digest_has_32_bytes() -> None:
    with pytest.raises(PlanError, match="31"):
        Digest("px", 1, bytes(31))


def test_a_fingerprint_is_of_a_known_kind_with_sorted_digests_of_different_names() -> None:
    one, other = Digest("px", 1, bytes(32)), Digest("rd", 1, bytes(32))
    for kind, digests in (("film", (one,)), ("dicom", ()), ("dicom", (other, one)), ("dicom", (one, one))):
        with pytest.raises(PlanError):
            Fingerprint(kind, digests)
    made = Fingerprint("dicom", (one, other))
    assert made.names == ("px", "rd")
    assert "rd" in made
    assert "hb" not in made
    with pytest.raises(KeyError):
        made["hb"]


def test_every_limit_is_a_positive_whole_number() -> None:
    for value in (0, -1, 1.5, True):
        with pytest.raises(PlanError):
            Limits(frames=value)  # type: ignore[arg-type]


def test_the_kinds_are_the_modules_of_the_folder() -> None:
    assert set(kinds()) <= set(KINDS)
    assert json.dumps(kinds())


def test_a_refusal_carries_its_code_through_pickling() -> None:
    import pickle

    from titer.provenance.fingerprint.fingerprint import refuse

    made = pickle.loads(pickle.dumps(refuse("limit.frames", "a", "b", "c")))
    assert isinstance(made, FingerprintError)
    assert made.code == "limit.frames"


@pytest.mark.parametrize(
    ("leaves", "expected"),
    [
        ([], "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ([b""], "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
        ([b"\0", b"\1", b"\2"], "3b6cccd7e3e023ff393006f030315ee7ad9eb111b022b41fba7e5b7a3973f688"),
        ([bytes([each]) for each in range(7)], "3560191803028444b232018ac047fdb561c09c23a7a6876c85e08b5e4d48e9f3"),
    ],
)
def test_the_tree_gives_the_published_roots(leaves: list[bytes], expected: str) -> None:
    assert root([leaf_hash(each) for each in leaves]).hex() == expected


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=40))
def test_the_tree_splits_at_the_largest_power_of_two_below_its_size(leaves: list[bytes]) -> None:
    def split(part: list[bytes]) -> bytes:
        if len(part) == 1:
            return part[0]
        at = 1 << (len(part) - 1).bit_length() - 1
        return node_hash(split(part[:at]), split(part[at:]))

    assert root(leaves) == split(leaves)
