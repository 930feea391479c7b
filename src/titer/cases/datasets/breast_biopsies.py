"""Cell nuclei of breast masses, measured in fine-needle biopsies; real patients, shipped with scikit-learn."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from titer.cases.case import Batch
from titer.cases.dataset import DataCard, Dataset, DatasetSource
from titer.cases.files.bounds import reading
from titer.cases.options import refuse_unknown
from titer.cases.readers.table_csv import MIXED
from titer.cases.space import Space
from titer.digest import digest_arrays
from titer.errors import DataError

# Unit and highest valid value of each measurement. Lengths are in pixels of the digitized slide; texture is a
# standard deviation of 8-bit grey levels, at most 127.5; compactness = perimeter^2 / area - 1; the others are ratios
# of lengths or counts, or a fractal dimension - 1.
_MEASURES = {
    "radius": ("pixels", 100.0), "texture": ("grey levels", 127.5), "perimeter": ("pixels", 1000.0),
    "area": ("pixels^2", 10000.0), "smoothness": ("ratio", 1.0), "compactness": ("ratio", 5.0),
    "concavity": ("ratio", 2.0), "concave points": ("share", 1.0), "symmetry": ("ratio", 1.0),
    "fractal dimension": ("dimension - 1", 1.0),
}  # fmt: skip
_DIGEST = "9d54a718e0b2ad66269e5e95afc2d180f1b01365ca9077c4f88566cf630b1723"


class BreastBiopsies(DatasetSource):
    """569 women with a breast mass: 30 measurements of cell nuclei, benign (357) or malignant (212). No options.

    Mean, standard error and worst value (mean of the three largest nuclei) of ten measurements. A valid value is at
    least 0 and at most a wide round number above what such a measurement gives. Limits are in standard deviations of
    each feature.

    Source: Street, Wolberg, Mangasarian, Nuclear feature extraction for breast tumor diagnosis, SPIE 1905:861 (1993),
    doi 10.1117/12.148698.

    >>> data = BreastBiopsies().load(None)
    >>> len(data.cases), data.classes, data.space.radius_unit
    (569, ('benign', 'malignant'), 'SD')
    """

    name: ClassVar[str] = "breast_biopsies"
    embedded: ClassVar[bool] = True

    def load(self, root: Path | None, **more: Any) -> Dataset:
        refuse_unknown(more, self.load)
        with reading("the biopsies in scikit-learn"):
            from sklearn.datasets import load_breast_cancer

            found = load_breast_cancer()
        values = np.asarray(found.data, dtype=np.float64)
        # scikit-learn counts malignant as 0; here disease is 1.
        targets = 1 - np.asarray(found.target, dtype=np.int64)
        if digest_arrays(values, targets) != _DIGEST:
            raise DataError("the biopsies of scikit-learn 1.5 to 1.9", "other values", "install such a version")
        names, highest = [], []
        for word in map(str, found.feature_names):
            key = word.removesuffix(" error").removeprefix("mean ").removeprefix("worst ")
            names.append(f"{word} ({_MEASURES[key][0]})")
            highest.append(_MEASURES[key][1])
        space = Space(
            "table", (30,), MIXED, 0.0, tuple(highest), tuple(map(float, values.std(axis=0))), "SD", tuple(names)
        )
        ids = tuple(f"biopsy-{row:03d}" for row in range(len(values)))
        people = np.arange(len(values), dtype=np.int64)
        batch = Batch(values.astype(np.float32), targets, people, ids)
        return Dataset(_CARD, space, "classes", ("benign", "malignant"), (1,), batch)


_CARD = DataCard(
    name="breast_biopsies",
    title="Breast masses: cell nuclei in fine-needle biopsies, benign or malignant",
    licence="CC BY 4.0",
    citation="Wolberg, Mangasarian, Street, Street, Breast Cancer Wisconsin (Diagnostic), UCI Machine Learning "
    "Repository (1993), doi 10.24432/C5DW2B",
    source="shipped with scikit-learn (load_breast_cancer); University of Wisconsin Hospitals",
    subjects="one biopsy per woman, as the source describes it; no key is published",
    cautions=("One hospital, 1989 to 1991; nuclei were outlined by hand.", "The classes are easy to tell apart."),
    digests={"breast_cancer.csv (values and labels)": _DIGEST},
)
