"""Black-box attacks as the peer libraries have them. Runs in an environment of its own, as peer_attacks.py does.

python peer_blackbox.py FOLDER     reads cases and weights from FOLDER/in.npz and wishes from FOLDER/wishes.json, writes
                                   which cases still stand, and the questions asked per case, to FOLDER/out.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import peer_attacks  # noqa: F401 - prepares the environment for the imports of the peers
import torch
from torch import Tensor, nn

Wish = dict[str, Any]


class Counted(nn.Module):
    """The model in float32 whatever it is given, counting the rows it is asked about."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.rows = inner, 0

    def forward(self, x: Tensor) -> Tensor:
        self.rows += len(x)
        return self.inner(x.float())


def torchattacks_square(net: nn.Module, images: Tensor, labels: Tensor, wish: Wish) -> Tensor:
    import torchattacks

    norm = {"linf": "Linf", "l2": "L2"}[wish["norm"]]
    attack = torchattacks.Square(net, norm=norm, eps=wish["limit"], n_queries=wish["steps"], loss="margin", seed=0)
    return attack(images, labels)


def art_square(net: nn.Module, images: Tensor, labels: Tensor, wish: Wish) -> Tensor:
    from art.attacks.evasion import SquareAttack

    attack = SquareAttack(
        _classifier(net, images), norm=_norm(wish), eps=wish["limit"], max_iter=wish["steps"], batch_size=len(images),
        verbose=False,
    )  # fmt: skip
    return _generated(attack, images, labels)


def art_simba(net: nn.Module, images: Tensor, labels: Tensor, wish: Wish) -> Tensor:
    from art.attacks.evasion import SimBA

    soft = _classifier(nn.Sequential(net, nn.Softmax(dim=1)), images)
    attack = SimBA(
        soft, attack=wish["basis"], max_iter=wish["steps"], epsilon=wish["step"], freq_dim=8, stride=1, batch_size=1,
        verbose=False,
    )  # fmt: skip
    # One image at a time is all that it takes.
    each = [
        attack.generate(images[k : k + 1].numpy(), np.eye(10)[labels[k : k + 1].numpy()]) for k in range(len(images))
    ]
    return torch.from_numpy(np.concatenate(each))


def art_hopskipjump(net: nn.Module, images: Tensor, labels: Tensor, wish: Wish) -> Tensor:
    from art.attacks.evasion import HopSkipJump

    attack = HopSkipJump(
        _classifier(net, images), norm=_norm(wish), max_iter=wish["steps"], max_eval=1000, init_eval=wish["draws"],
        verbose=False,
    )  # fmt: skip
    return _generated(attack, images, labels)


def art_boundary(net: nn.Module, images: Tensor, labels: Tensor, wish: Wish) -> Tensor:
    from art.attacks.evasion import BoundaryAttack

    attack = BoundaryAttack(
        _classifier(net, images), targeted=False, max_iter=wish["steps"], num_trial=5, sample_size=5, verbose=False
    )
    return _generated(attack, images, labels)


def foolbox_hopskipjump(net: nn.Module, images: Tensor, labels: Tensor, wish: Wish) -> Tensor:
    import foolbox

    attack = foolbox.attacks.HopSkipJumpAttack(
        steps=wish["steps"], initial_gradient_eval_steps=wish["draws"], constraint=wish["norm"]
    )
    return attack(foolbox.PyTorchModel(net, bounds=(0, 1), device="cpu"), images, labels, epsilons=None)[1]


def foolbox_boundary(net: nn.Module, images: Tensor, labels: Tensor, wish: Wish) -> Tensor:
    import foolbox

    attack = foolbox.attacks.BoundaryAttack(steps=wish["steps"])
    return attack(foolbox.PyTorchModel(net, bounds=(0, 1), device="cpu"), images, labels, epsilons=None)[1]


PEERS = {name: each for name, each in globals().items() if name.startswith(("torchattacks_", "art_", "foolbox_"))}


def _classifier(net: nn.Module, images: Tensor) -> Any:
    from art.estimators.classification import PyTorchClassifier

    return PyTorchClassifier(
        net, nn.CrossEntropyLoss(), tuple(images.shape[1:]), 10, clip_values=(0.0, 1.0), device_type="cpu"
    )


def _norm(wish: Wish) -> Any:
    return np.inf if wish["norm"] == "linf" else 2


def _generated(attack: Any, images: Tensor, labels: Tensor) -> Tensor:
    return torch.from_numpy(attack.generate(images.numpy(), labels.numpy()))


def answer(net: nn.Module, images: Tensor, labels: Tensor, wish: Wish) -> dict[str, Any]:
    """Which cases withstood, judged at the limit by the model itself, and the questions that it cost per case."""
    torch.manual_seed(0)
    np.random.seed(0)
    counted = Counted(net)
    with torch.no_grad():
        perturbed = PEERS[wish["peer"]](counted, images.clone(), labels.clone(), wish).detach().float()
        moved = (perturbed - images).flatten(1)
        size = moved.abs().amax(dim=1) if wish["norm"] == "linf" else moved.norm(dim=1)
        wrong = net(perturbed.clamp(0, 1)).argmax(dim=1) != labels
    fair = size <= wish["limit"] * (1 + 1e-4)
    return {**wish, "stands": (~(fair & wrong)).tolist(), "queries": counted.rows / len(images)}


def main(folder: Path) -> None:
    from small_net import build

    torch.set_num_threads(1)
    with np.load(folder / "in.npz", allow_pickle=False) as stored:
        arrays = {name: torch.from_numpy(stored[name]) for name in stored.files}
    images, labels = arrays.pop("images"), arrays.pop("labels")
    net = build()
    net.load_state_dict(arrays)
    net.eval()
    wishes = json.loads((folder / "wishes.json").read_text())
    (folder / "out.json").write_text(json.dumps([answer(net, images, labels, wish) for wish in wishes]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
