"""Small data sets and files that the tests of cases write themselves."""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from titer.cases.case import Batch
from titer.cases.dataset import DataCard, Dataset, TaskKind
from titer.cases.space import Space

CARD = DataCard("made", "Made for a test", "none", "none", "a test", "numbers")


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))


def dataset(
    targets: Any,
    patients: Any = None,
    *,
    inputs: Any = None,
    space: Space | None = None,
    task: TaskKind = "classes",
    classes: tuple[str, ...] | None = None,
    official: Any = None,
) -> Dataset:
    """Cases with the given targets; inputs are random rows of a table unless given."""
    targets = np.asarray(targets)
    if inputs is None:
        inputs = rng(1).uniform(0, 1, (len(targets), 4)).astype(np.float32)
    if space is None:
        space = Space("table", (4,), "unit", 0.0, 1.0)
    people = np.arange(len(targets)) if patients is None else np.asarray(patients)
    if classes is None:
        count = 2 if task == "anomaly" else (targets.shape[1] if targets.ndim == 2 else int(targets.max()) + 1)
        classes = ("value",) if task == "regression" else tuple(f"class {k}" for k in range(count))
    ids = tuple(f"case-{row}" for row in range(len(targets)))
    return Dataset(CARD, space, task, classes, (), Batch(inputs, targets, people, ids), official)


def png(path: Path, values: Any) -> Path:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values)).save(path)
    return path


def dicom(path: Path, values: Any, **tags: Any) -> Path:
    """A DICOM file of one grey frame; tags overwrite what it says."""
    import pydicom
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    found = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    values = np.asarray(values)
    wanted = {
        "SOPClassUID": CTImageStorage,
        "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
        "PatientName": "Doe^Jane",
        "PatientID": "MRN-4711",
        "Modality": "CT",
        "Rows": values.shape[0],
        "Columns": values.shape[1],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 1 if values.dtype.kind == "i" else 0,
        "RescaleSlope": 1,
        "RescaleIntercept": 0,
        **tags,
    }
    for name, value in wanted.items():
        if value is not None:
            setattr(found, name, value)
    found.PixelData = values.tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    with pydicom.config.disable_value_validation():
        found.save_as(path, enforce_file_format=True)
    return path


def wfdb_record(folder: Path, name: str, values: Any, *, fs: float = 250, units: str = "mV", **more: Any) -> Path:
    import wfdb

    folder.mkdir(parents=True, exist_ok=True)
    values = np.asarray(values)
    names = [f"lead {k}" for k in range(values.shape[1])]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wfdb.wrsamp(
            name, fs=fs, units=[units] * len(names), sig_name=names, p_signal=values, fmt=["16"] * len(names),
            write_dir=str(folder), **more,
        )  # fmt: skip
    return folder / f"{name}.hea"


def wfdb_beats(folder: Path, name: str, samples: Any, symbols: Any, fs: float = 250) -> Path:
    import wfdb

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wfdb.wrann(name, "atr", np.asarray(samples), np.asarray(symbols), fs=fs, write_dir=str(folder))
    return folder / f"{name}.atr"


def edf(path: Path, values: Any, *, fs: int = 100, unit: str = "uV", code: str = "X", bdf: bool = False) -> Path:
    import pyedflib

    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.asarray(values, dtype=float)
    kind = pyedflib.FILETYPE_BDFPLUS if bdf else pyedflib.FILETYPE_EDFPLUS
    most = 2**23 - 1 if bdf else 2**15 - 1
    with pyedflib.EdfWriter(str(path), len(values), file_type=kind) as writer:
        writer.setSignalHeaders(
            [
                {
                    "label": f"C{k}", "dimension": unit, "sample_frequency": fs, "physical_max": 400.0,
                    "physical_min": -400.0, "digital_max": most, "digital_min": -most - 1, "transducer": "",
                    "prefilter": "",
                }
                for k in range(len(values))
            ]
        )  # fmt: skip
        writer.setPatientCode(code)
        writer.writeSamples(list(values))
    return path


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path
