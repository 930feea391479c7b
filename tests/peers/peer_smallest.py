"""Foolbox's searches for the smallest change. Runs in an environment of its own: exchanges files, knows no Titer.

python peer_smallest.py FOLDER     reads cases and weights from FOLDER/in.npz and wishes from FOLDER/wishes.json,
                                   writes what each change cost (null: not fooled) to FOLDER/out.json
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

warnings.simplefilter("ignore")

import foolbox  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from small_net import build  # noqa: E402
from torch import Tensor, nn  # noqa: E402

Wish = dict[str, Any]


def cost(net: nn.Module, images: Tensor, labels: Tensor, wish: Wish) -> list[float | None]:
    """What the peer paid for each case that it fooled."""
    torch.manual_seed(0)
    attack = getattr(foolbox.attacks, wish["attack"])(**wish["settings"])
    model = foolbox.PyTorchModel(net, bounds=(0, 1), device="cpu")
    perturbed = attack(model, images, labels, epsilons=None)[0].detach()
    moved = (perturbed - images).flatten(1)
    sizes = {"linf": moved.abs().amax(dim=1), "l2": moved.norm(dim=1), "l0": (moved.abs() > 1e-9).sum(dim=1)}
    with torch.no_grad():
        fooled = net(perturbed).argmax(dim=1) != labels
    paid = sizes[wish["norm"]].tolist()
    return [float(size) if fell else None for size, fell in zip(paid, fooled.tolist(), strict=True)]


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    with np.load(folder / "in.npz", allow_pickle=False) as stored:
        arrays = {name: torch.from_numpy(stored[name]) for name in stored.files}
    images, labels = arrays.pop("images"), arrays.pop("labels")
    net = build()
    net.load_state_dict(arrays)
    net.eval()
    wishes = json.loads((folder / "wishes.json").read_text())
    (folder / "out.json").write_text(json.dumps([cost(net, images, labels, wish) for wish in wishes]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
