"""Draws docs/gallery.md and its figures anew.

python -m gallery [--only NAME,NAME]      run in the folder scripts; TITER_DATA names the data
"""

from __future__ import annotations

import argparse
import json
import sys
import time

import torch

from gallery.draw import FACTS, FOLDER, PAGE, drawn
from gallery.figures import FIGURES
from gallery.page import page
from gallery.subjects import SUBJECTS, Subject


def main() -> None:
    wishes = argparse.ArgumentParser(description=__doc__)
    wishes.add_argument("--only", default="", help="names of figures or beginnings of them, with commas; all without")
    chosen = tuple(wishes.parse_args().only.split(","))
    torch.set_num_threads(1)
    FOLDER.mkdir(parents=True, exist_ok=True)
    kept = json.loads(FACTS.read_text()) if FACTS.exists() else {"figures": {}, "subjects": {}}
    subjects: dict[str, Subject] = {}
    for figure in FIGURES:
        if not figure.file.startswith(chosen):
            continue
        began = time.monotonic()
        if figure.subject not in subjects:
            subject = subjects[figure.subject] = SUBJECTS[figure.subject]()
            kept["subjects"][figure.subject] = {"told": subject.told, "credit": subject.credit}
        picture, fact = drawn(figure, subjects[figure.subject])
        (FOLDER / fact["picture"]).write_bytes(picture)
        kept["figures"][figure.file] = fact
        # Kept after each figure, so that a stopped run loses one.
        known = {each.file: kept["figures"][each.file] for each in FIGURES if each.file in kept["figures"]}
        FACTS.write_text(json.dumps({"figures": known, "subjects": kept["subjects"]}, indent=1) + "\n")
        said = f"{fact['before']} -> {fact['after']}, {fact['cost']}, case {fact['tried']}"
        print(f"{figure.file} {time.monotonic() - began:.1f} s: {said}", file=sys.stderr, flush=True)
    if all(each.file in kept["figures"] for each in FIGURES):
        PAGE.write_text(page(kept["figures"], kept["subjects"]))


if __name__ == "__main__":
    main()
