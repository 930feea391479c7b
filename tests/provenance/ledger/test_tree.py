"""The tree, its proofs, its tiles and its checkpoints."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from titer.errors import LedgerError, RecordError
from titer.provenance.ledger import merkle, tiles
from titer.provenance.ledger.checkpoint import LARGEST, Checkpoint, decoded, encoded, number
from titer.provenance.ledger.merkle import Frontier, leaf_hash
from titer.provenance.ledger.recompute import Rebuild

# Leaves and roots of the trees of sizes 0 to 8 in the tests of Certificate Transparency's reference implementation.
LEAVES = [
    bytes.fromhex(each)
    for each in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
HASHES = [leaf_hash(bytes([n // 256, n % 256])) for n in range(1200)]
ROOT_AT = [merkle.EMPTY]
_tree = Frontier()
for _each in HASHES:
    _tree.append(_each)
    ROOT_AT.append(_tree.root())


def flips(raw: bytes) -> list[bytes]:
    whole = int.from_bytes(raw, "big")
    return [(whole ^ 1 << bit).to_bytes(len(raw), "big") for bit in range(len(raw) * 8)]


def test_roots_are_those_published_for_certificate_transparency() -> None:
    for size, wanted in enumerate(ROOTS):
        assert merkle.root(map(leaf_hash, LEAVES[:size])).hex() == wanted


def test_published_proofs_are_made() -> None:
    hashes = list(map(leaf_hash, LEAVES))
    proof = [each.hex() for each in merkle.inclusion(hashes, 0, 8)]
    assert proof == [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]
    assert [each.hex() for each in merkle.consistency(hashes, 1, 1)] == []
    assert [each.hex() for each in merkle.consistency(hashes, 1, 8)] == proof


def test_every_proof_up_to_size_40_holds_and_for_no_other_index_or_size() -> None:
    for size in range(1, 41):
        for index in range(size):
            proof = merkle.inclusion(HASHES, index, size)
            merkle.verify_inclusion(HASHES[index], index, size, proof, ROOT_AT[size])
            for wrong in range(size + 1):
                if wrong != index:
                    with pytest.raises(RecordError):
                        merkle.verify_inclusion(HASHES[index], wrong, size, proof, ROOT_AT[size])
        for old in range(size + 1):
            proof = merkle.consistency(HASHES, old, size)
            merkle.verify_consistency(old, size, ROOT_AT[old], ROOT_AT[size], proof)


@settings(max_examples=10, deadline=None)
@given(st.integers(2, 1200), st.data())
def test_no_bit_of_an_inclusion_proof_may_change(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    proof = merkle.inclusion(HASHES, index, size)
    merkle.verify_inclusion(HASHES[index], index, size, proof, ROOT_AT[size])
    wrong: list[tuple[bytes, int, int, list[bytes], bytes]] = []
    wrong += [(leaf, index, size, proof, ROOT_AT[size]) for leaf in flips(HASHES[index])]
    wrong += [(HASHES[index], index, size, proof, root) for root in flips(ROOT_AT[size])]
    wrong += [(HASHES[index], index ^ 1 << bit, size, proof, ROOT_AT[size]) for bit in range(63)]
    at = data.draw(st.integers(0, len(proof) - 1))
    wrong += [
        (HASHES[index], index, size, [*proof[:at], each, *proof[at + 1 :]], ROOT_AT[size]) for each in flips(proof[at])
    ]
    wrong += [
        (HASHES[index], index, size, changed, ROOT_AT[size]) for changed in (proof[:-1], [*proof, bytes(32)], proof[1:])
    ]
    for each in wrong:
        with pytest.raises(RecordError):
            merkle.verify_inclusion(*each)


@settings(max_examples=10, deadline=None)
@given(st.integers(2, 1200), st.data())
def test_no_bit_of_a_consistency_proof_may_change(new: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(1, new - 1))
    proof = merkle.consistency(HASHES, old, new)
    merkle.verify_consistency(old, new, ROOT_AT[old], ROOT_AT[new], proof)
    wrong = [(old, new, root, ROOT_AT[new], proof) for root in flips(ROOT_AT[old])]
    wrong += [(old, new, ROOT_AT[old], root, proof) for root in flips(ROOT_AT[new])]
    at = data.draw(st.integers(0, len(proof) - 1))
    changed = [[*proof[:at], each, *proof[at + 1 :]] for each in flips(proof[at])]
    changed += [proof[:-1], [*proof, bytes(32)], []]
    wrong += [(old, new, ROOT_AT[old], ROOT_AT[new], each) for each in changed]
    for each in wrong:
        with pytest.raises(RecordError):
            merkle.verify_consistency(*each)


def test_proofs_end_where_the_tree_ends() -> None:
    long = [bytes(32)] * 70
    for proof in ([], long):
        for old, new in ((3, 4), (4, 7), (3, 7)):
            with pytest.raises(RecordError) as caught:
                merkle.verify_consistency(old, new, ROOT_AT[old], ROOT_AT[new], proof)
            assert caught.value.code == "proof.length"
    for old, new, was, now, proof in (
        (5, 4, ROOT_AT[5], ROOT_AT[4], []),
        (-1, 4, ROOT_AT[0], ROOT_AT[4], []),
        (4, 4, ROOT_AT[4], ROOT_AT[4], long),
        (4, 4, ROOT_AT[3], ROOT_AT[4], []),
        (0, 4, ROOT_AT[1], ROOT_AT[4], []),
        (0, 4, b"", ROOT_AT[4], []),
    ):
        with pytest.raises(RecordError):
            merkle.verify_consistency(old, new, was, now, proof)
    for ask in (
        lambda: merkle.inclusion(HASHES, 4, 4),
        lambda: merkle.consistency(HASHES, 5, 4),
        lambda: Frontier(3, []),
    ):
        with pytest.raises(RecordError):
            ask()


def files(size: int) -> dict[str, bytes]:
    """All files of a log, by the second routine, which shares no code with the first."""
    tree, made = Rebuild(), {}
    for n in range(size):
        made |= dict(tree.feed(bytes([n // 256, n % 256])))
    return made | dict(tree.partial())


@pytest.mark.parametrize("size", [1, 255, 256, 257, 700])
def test_proofs_from_tiles_are_those_from_leaves(size: int) -> None:
    read = files(size).get
    assert tiles.frontier(read, size).root() == ROOT_AT[size]
    for index in {0, size // 2, size - 1}:
        assert tiles.inclusion(read, index, size) == merkle.inclusion(HASHES, index, size)
        assert tiles.consistency(read, index, size) == merkle.consistency(HASHES, index, size)


def test_numbers_of_tiles_are_cut_into_thousands() -> None:
    assert tiles.path(0, 1234067) == "tile/0/x001/x234/067"
    assert tiles.path(tiles.ENTRIES, 5, 17) == "tile/entries/005.p/17"


def test_tiles_that_are_missing_or_damaged_are_named() -> None:
    made = files(257)
    full = {path: raw for path, raw in files(700).items() if ".p/" not in path}
    assert tiles.inclusion(full.get, 3, 100) == merkle.inclusion(HASHES, 3, 100)
    with pytest.raises(LedgerError, match="tile/0/000"):
        tiles.inclusion({}.get, 0, 257)
    with pytest.raises(RecordError, match="tile/0/000"):
        tiles.inclusion({**made, "tile/0/000": b"x"}.get, 0, 257)


def test_bundles_are_split_as_they_were_joined() -> None:
    leaves = [b"a", b"", b"x" * 65535]
    assert tiles.unbundle(tiles.bundle(leaves), 3) == leaves
    for raw, width in ((b"\0", 1), (b"\0\2a", 1), (b"", 1), (b"\0\0" * 257, 1)):
        with pytest.raises(RecordError):
            tiles.unbundle(raw, width)
    with pytest.raises(RecordError):
        tiles.bundle([b"x" * 65536])


def test_checkpoints_have_one_spelling() -> None:
    told = Checkpoint("a.example/b", 7, hashlib.sha256(b"").digest(), ("more",))
    text = told.text()
    assert Checkpoint.parse(text) == told
    for wrong in (
        "",
        "a\n1\n",
        text[:-1],
        text.replace("\n7\n", "\n07\n"),
        text.replace("\n7\n", "\n-7\n"),
        text.replace("=", ""),
        text.replace("47DE", "47D "),
        text + "\n",
        "\n" + text[12:],
        text.replace("U=", "V="),
        f"a\n{1 << 63}\nAA==\n",
        "a\n1\nAA==\n",
        "a\n1\nÄ\n",
    ):
        with pytest.raises(RecordError):
            Checkpoint.parse(wrong)
    for size in (-1, LARGEST + 1):
        with pytest.raises(RecordError):
            Checkpoint("a", size, bytes(32))
    assert number("0") == 0
    assert decoded(encoded(b"")) == b""
