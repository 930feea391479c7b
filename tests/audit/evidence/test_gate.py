"""Planted identifiers: all eighteen kinds go in by every way there is, and no file that an audit writes holds one."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planted import PLANTED, pieces

import titer
from titer.audit.driver import write
from titer.audit.evidence.bundle import write_pdf
from titer.audit.evidence.gate import FORMS, scrubbed
from titer.audit.withhold import RARE, shared_words, withheld
from titer.cases.case import Batch
from titer.cases.dataset import DataCard, Dataset
from titer.cases.space import Space

# What has a form is found in an author's own words too; the others must not get so far.
FORMED = [name for name in PLANTED if name[0] in "CDEFGHIJKLMNO"]


def contents(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file below a folder as bytes; what is packed is unpacked too."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for file in sorted(folder.rglob("*")):
        if not file.is_file():
            continue
        data = file.read_bytes()
        name = str(file.relative_to(folder))
        yield name, data
        start = data.find(b"PAR1")
        if start >= 0:
            try:
                table = pq.read_table(io.BytesIO(data[start:]))
            except pa.ArrowException:
                continue
            yield f"{name} unpacked", repr((table.to_pydict(), table.schema.metadata)).encode()
        if file.suffix == ".pdf":
            pikepdf = pytest.importorskip("pikepdf")
            with pikepdf.open(file) as document:
                unpacked = io.BytesIO()
                document.save(unpacked, stream_decode_level=pikepdf.StreamDecodeLevel.generalized)
                yield f"{name} unpacked", unpacked.getvalue()
                yield f"{name} metadata", document.Root.Metadata.read_bytes()


def found_in(folder: Path, planted: list[str]) -> list[tuple[str, str]]:
    """Where planted texts stand: file, text. The author's own copy of the plan stays where it is."""
    return [
        (name, text)
        for name, data in contents(folder)
        if name != "plan.yaml"
        for text in planted
        if any(piece in data for piece in pieces(text))
    ]


def finished(report: Any, out: Path, source: str = "") -> Path:
    write(report, out, source)
    pytest.importorskip("typst", reason="needs the extra titer[pdf]")
    write_pdf(out)
    return out


def dicom_file(path: Path, pixels: np.ndarray[Any, Any], patient: int) -> None:
    """A picture whose header holds every kind of identifier."""
    pydicom = pytest.importorskip("pydicom")
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = f"1.2.826.0.1.3680043.8.498.{patient + 1}"
    header = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    header.SOPClassUID = meta.MediaStorageSOPClassUID
    header.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    header.Modality = "DX"
    header.PatientName = f"{PLANTED['A name']}^{patient}"
    header.PatientID = f"{PLANTED['H medical record number']}{patient}"
    header.PatientBirthDate = PLANTED["C date"].replace("-", "")
    header.PatientAddress = PLANTED["B place"]
    header.PatientTelephoneNumbers = PLANTED["D telephone"]
    header.InstitutionName = PLANTED["B place"]
    header.AccessionNumber = PLANTED["J account number"]
    header.DeviceSerialNumber = PLANTED["M device number"]
    header.OtherPatientIDs = PLANTED["I health plan number"]
    header.PatientComments = " ".join(PLANTED.values())
    header.Rows, header.Columns = pixels.shape
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 8, 8, 7, 0
    header.PixelData = pixels.astype(np.uint8).tobytes()
    pydicom.dcmwrite(path, header, enforce_file_format=True)


def bright(inputs: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Scores of two classes by brightness."""
    level = 40 * (inputs.reshape(len(inputs), -1).mean(axis=1) - 0.5)
    return np.stack([-level, level], axis=1)


def test_no_identifier_of_pictures_gets_out(tmp_path: Path) -> None:
    """Headers, file and folder names, patient keys, subgroups, the title of the plan."""
    folder = tmp_path / f"{PLANTED['A name']} {PLANTED['C date']} {PLANTED['R other']}"
    folder.mkdir()
    rng = np.random.default_rng(0)
    planted = list(PLANTED.values())
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream)
        table.writerow(["path", "label", "site", "device", "comment"])
        for number in range(60):
            sick = number % 2
            name = f"{PLANTED['A name']}_{PLANTED['G social security number']}_{number}.dcm"
            pixels = np.clip(rng.normal(80 + 90 * sick, 20, (8, 8)), 0, 255)
            dicom_file(folder / name, pixels, number)
            site = PLANTED["B place"] if number < 4 else "north" if number < 30 else "south"
            device = planted[number] if number < len(planted) else "scanner"
            table.writerow([name, ("healthy", "sick")[sick], site, device, " ".join(planted)])
    plan = {
        "titer": 1, "name": "Chest pictures, " + " ".join(PLANTED[name] for name in FORMED),
        "threats": [{"limits": ["20/255", "90/255"]}], "attacks": ["square", "noise"], "gallery": 2, "resamples": 200,
        "explain": {"noise_small": f"told by {PLANTED['F e-mail']}"},
    }  # fmt: skip
    out = tmp_path / "out"
    report = titer.audit(bright, folder, plan, out=out)
    source = f"name: x\ndata: {{path: '{folder}'}}\n# {PLANTED['D telephone']}\n"
    again = report.model_copy(update={"identity": report.identity})
    finished(again, out, source)
    assert not found_in(out, planted)
    assert report.gate is not None
    assert report.gate.withheld["place of a file"] >= 1
    assert report.gate.withheld["date"] >= 1
    assert report.datasets[0].name == "own data 1"
    assert next(item for item in report.index.items if item.id == "E24").state in ("partial", "evidence")
    rows = {row.value for table in report.subgroups for row in table.rows}
    assert {"north", "south"} <= rows


def own_name(number: int) -> str:
    """A name that one patient alone has, without digits."""
    return "zzperson" + "".join(chr(ord("a") + int(digit)) for digit in str(number))


def test_no_identifier_of_notes_gets_out(tmp_path: Path) -> None:
    """Words of the notes, further columns, names of the files."""
    rng = np.random.default_rng(1)
    planted = list(PLANTED.values())
    common = [
        "patient",
        "reports",
        "pain",
        "fever",
        "cough",
        "denies",
        "nausea",
        "stable",
        "exam",
        "lungs",
        "clear",
        "heart",
        "regular",
    ]
    data = tmp_path / f"notes_{PLANTED['A name']}.csv"
    synonyms = tmp_path / f"synonyms_{PLANTED['H medical record number']}.csv"
    synonyms.write_text("word,synonym\nfever,pyrexia\npyrexia,fever\npain,ache\n", encoding="utf-8")
    with data.open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream)
        table.writerow(["text", "label", "patient", "author", "site"])
        for number in range(80):
            sick = number % 2
            words = [*rng.permutation(common)[:6], *(["fever"] * (2 * sick))]
            words += [planted[number % 18], own_name(number)]
            words += ["pyrexia"] if number % 5 == 0 else []
            table.writerow(
                [" ".join(words), ("well", "ill")[sick], f"{PLANTED['H medical record number']}{number}",
                 PLANTED["A name"], "ward" if number > 3 else PLANTED["B place"]]
            )  # fmt: skip
    seen: dict[str, int] = {}

    def feverish(inputs: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        level = (inputs == seen["fever"]).sum(axis=1) - 0.5
        return np.stack([-level, level], axis=1).astype(float)

    from titer.cases.find import find_dataset

    vocabulary = find_dataset(str(data), root=None, synonyms=synonyms.name).space.vocabulary
    seen["fever"] = vocabulary.index("fever")
    plan = {
        "titer": 1, "name": "Notes", "data": {"options": {"synonyms": synonyms.name}}, "gallery": 6, "resamples": 200,
        "threats": [{"change": "substitution", "limits": [1, 3]}], "attacks": ["greedy", "noise"],
    }  # fmt: skip
    report = titer.audit(feverish, data, plan, out=tmp_path / "out")
    out = finished(report, tmp_path / "out")
    words = {token.text for item in report.gallery if item.kind == "note" for token in item.tokens}
    assert "[withheld]" in words
    assert "fever" in words
    leaks = ["zyxwombat", "quagmireville", "qqmailbox", "qqprofile", "mrn4471920", "zq77", "zq88", "zq99", "zzperson"]
    assert not found_in(out, [*planted, *leaks])
    assert not {word for word in words if any(sign.isdigit() for sign in word)}


@pytest.mark.parametrize("name", FORMED)
def test_what_has_the_form_of_an_identifier_is_found(name: str) -> None:
    found: Counter[str] = Counter()
    text = scrubbed(f"before {PLANTED[name]}, after", found)
    assert PLANTED[name] not in text
    assert text.startswith("before [withheld")
    assert text.endswith("after")
    assert sum(found.values()) == 1


@pytest.mark.parametrize(
    "text",
    ["4/255 of the gray scale", "0.00784 intensity", "arXiv 1706.06083", "2,000 resamples", "Titer 0.1.0",
     "n 600, 36.6 to 44.5", "doi 10.1109/TIFS.2019.12", "t-cnn/additive-linf/4-255/pgd", "1 of 2", "9c0e41b7d5a2f1"],
)  # fmt: skip
def test_what_only_looks_like_one_stays(text: str) -> None:
    assert scrubbed(text, Counter()) == text


def test_every_form_finds_its_own_kind() -> None:
    examples = {
        "e-mail address": "a.b@c.org", "web address": "www.example.org/x", "social security number": "078-05-1120",
        "telephone or fax number": "+1 555 010 0199", "network address": "2001:db8:0:1:2:3:4:5",
        "date": "March 14, 1961",
        "vehicle number": "1HGCM82633A004352", "number of a record, account, license or device": "#4471920",
    }  # fmt: skip
    assert set(examples) == set(FORMS)
    for kind, text in examples.items():
        found: Counter[str] = Counter()
        scrubbed(text, found)
        assert [name for name, times in found.items() if times] == [kind]


def test_groups_of_few_patients_lose_their_name_and_no_other() -> None:
    values = np.array(["F"] * 20 + ["M"] * 30 + ["93 years"] * 9)
    patients = np.concatenate([np.arange(20), np.arange(30) // 2, np.arange(9)])
    assert set(withheld(values, patients)) == {"F", "M", RARE}
    few = np.concatenate([np.arange(20), np.arange(30) // 5, np.arange(9)])
    assert set(withheld(values, few)) == {"F", RARE}


def notes(synthetic: bool) -> Dataset:
    card = DataCard("n", "n", "x", "x", "x", "x", synthetic=synthetic)
    space = Space("tokens", (3,), "words", vocabulary=("<pad>", "<unknown>", "fever", "smith", "room7"))
    tokens = np.array([[2, 4, 0]] * 10 + [[2, 3, 4]])
    cases = Batch.of(tokens, np.array([0, 1] * 5 + [0]))
    return Dataset(card, space, "classes", ("a", "b"), (1,), cases)


def test_words_of_ten_patients_without_digits_may_be_shown() -> None:
    shown = shared_words(notes(synthetic=False))
    assert shown is not None
    assert 2 in shown
    assert not {3, 4} & shown
    assert shared_words(notes(synthetic=True)) is None
