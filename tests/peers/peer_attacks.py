"""PGD, Auto-PGD and AutoAttack as the peer libraries have them.

Runs in an environment of its own: exchanges files, knows nothing of Titer.

python peer_attacks.py FOLDER      reads cases and weights from FOLDER/in.npz and wishes from FOLDER/wishes.json,
                                   writes which cases still stand to FOLDER/out.json
python peer_attacks.py --check     imports the peers and prints their versions
"""

from __future__ import annotations

import json
import sys
import types
import warnings
from pathlib import Path
from typing import Any

warnings.simplefilter("ignore")
# torchvision without its compiled part: the pure-Python rest, which is all that the peers use, then imports.
sys.modules["torchvision._meta_registrations"] = types.ModuleType("torchvision._meta_registrations")

import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402

Wish = dict[str, Any]


def torchattacks_pgd(net: nn.Module, images: Tensor, labels: Tensor, wish: Wish) -> Tensor:
    import torchattacks

    kind = torchattacks.PGD if wish["norm"] == "linf" else torchattacks.PGDL2
    attack = kind(net, eps=wish["limit"], alpha=wish["rate"], steps=wish["steps"], random_start=True)
    return attack(images, labels)


def foolbox_pgd(net: nn.Module, images: Tensor, labels: Tensor, wish: Wish) -> Tensor:
    import foolbox

    model = foolbox.PyTorchModel(net, bounds=(0, 1), device="cpu")
    kind = foolbox.attacks.LinfPGD if wish["norm"] == "linf" else foolbox.attacks.L2PGD
    attack = kind(abs_stepsize=wish["rate"], steps=wish["steps"], random_start=True)
    return attack(model, images, labels, epsilons=wish["limit"])[1]


def art_pgd(net: nn.Module, images: Tensor, labels: Tensor, wish: Wish) -> Tensor:
    from art.attacks.evasion import ProjectedGradientDescentPyTorch
    from art.estimators.classification import PyTorchClassifier

    classifier = PyTorchClassifier(
        net, nn.CrossEntropyLoss(), tuple(images.shape[1:]), 10, clip_values=(0.0, 1.0), device_type="cpu"
    )
    attack = ProjectedGradientDescentPyTorch(
        classifier,
        norm=np.inf if wish["norm"] == "linf" else 2,
        eps=wish["limit"],
        eps_step=wish["rate"],
        max_iter=wish["steps"],
        num_random_init=1,
        batch_size=len(images),
        verbose=False,
    )
    return torch.from_numpy(attack.generate(images.numpy(), labels.numpy()))


def torchattacks_apgd(net: nn.Module, images: Tensor, labels: Tensor, wish: Wish) -> Tensor:
    import torchattacks

    norm = "Linf" if wish["norm"] == "linf" else "L2"
    # It seeds itself; without this every restart would be the same walk.
    seed = torch.initial_seed()
    attack = torchattacks.APGD(net, norm=norm, eps=wish["limit"], steps=wish["steps"], loss=wish["loss"], seed=seed)
    return attack(images, labels)


def torchattacks_auto(net: nn.Module, images: Tensor, labels: Tensor, wish: Wish) -> Tensor:
    import torchattacks

    norm = "Linf" if wish["norm"] == "linf" else "L2"
    attack = torchattacks.AutoAttack(net, norm=norm, eps=wish["limit"], version="standard", n_classes=10, seed=0)
    return attack(images, labels)


PEERS = {
    "pgd": {"torchattacks": torchattacks_pgd, "foolbox": foolbox_pgd, "art": art_pgd},
    "apgd": {"torchattacks": torchattacks_apgd},
    "auto": {"torchattacks": torchattacks_auto},
}


def standing(net: nn.Module, images: Tensor, labels: Tensor, wish: Wish, name: str, draw: int) -> Tensor:
    """[n] whether each case withstood all restarts of one draw; what broke the limit does not count."""
    stands = torch.ones(len(images), dtype=torch.bool)
    for restart in range(wish["restarts"]):
        torch.manual_seed(100 * draw + restart)
        np.random.seed(100 * draw + restart)
        perturbed = PEERS[wish["attack"]][name](net, images.clone(), labels.clone(), wish).detach()
        moved = (perturbed - images).flatten(1)
        size = moved.abs().amax(dim=1) if wish["norm"] == "linf" else moved.norm(dim=1)
        fair = size <= wish["limit"] * (1 + 1e-4)
        with torch.no_grad():
            stands &= ~(fair & (net(perturbed.clamp(0, 1)).argmax(dim=1) != labels))
    return stands


def main(folder: Path) -> None:
    from small_net import build

    torch.set_num_threads(1)
    with np.load(folder / "in.npz", allow_pickle=False) as stored:
        arrays = {name: torch.from_numpy(stored[name]) for name in stored.files}
    images, labels = arrays.pop("images"), arrays.pop("labels")
    net = build()
    net.load_state_dict(arrays)
    net.eval()
    answers = [
        {
            **wish,
            "peer": name,
            "stands": [int(standing(net, images, labels, wish, name, draw).sum()) for draw in range(wish["draws"])],
        }
        for wish in json.loads((folder / "wishes.json").read_text())
        for name in PEERS[wish["attack"]]
    ]
    (folder / "out.json").write_text(json.dumps(answers))


def check() -> None:
    import art
    import foolbox
    import pyautoattack  # noqa: F401
    import torchattacks

    versions = {"torch": torch, "art": art, "foolbox": foolbox, "torchattacks": torchattacks}
    print(", ".join(f"{name} {module.__version__}" for name, module in versions.items()))


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        check()
    else:
        main(Path(sys.argv[1]))
