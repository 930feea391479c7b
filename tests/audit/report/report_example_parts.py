"""The example report's identity, models, data, threats, attacks, and its tasks other than classification."""

from __future__ import annotations

from report_example_results import LIMITS, MODELS, SEEDS, amount, points, score, share

from titer.audit.report import schema as s

PLAN = """\
name: soberano-quick
models: [T-CNN, T-RNN, T-TRF, T-AE]
attacks: [fgsm, pgd, jsma, noise]
trials: 5
fail_if:
  - robust_accuracy < 0.50 on T-CNN at 4/255
  - clean_accuracy < 0.85
"""
KINDS = {
    "chest phantom": ((1, 64, 64), "intensity (0 to 1)"),
    "ECG twin": ((500, 1), "mV"),
    "notes twin": ((-1,), "words"),
    "scan twin": ((1, 64, 64), "intensity (0 to 1)"),
}


def identity() -> s.Identity:
    return s.Identity(
        title="Four clinical models under attack",
        titer_version="0.1.0",
        created="2026-03-02T09:14:00Z",
        plan=s.PlanRecord(
            name="soberano-quick",
            digest="b3f1d0c2a94e7715",
            source=PLAN,
            resolved={
                "name": "soberano-quick",
                "models": ["T-CNN", "T-RNN", "T-TRF", "T-AE"],
                "trials": 5,
                "threshold": {"fix_on": "validation", "sensitivity": 0.9},
            },
        ),
        environment=s.Environment(
            python="3.12.4",
            platform="Linux x86_64",
            threads=1,
            packages={"numpy": "2.4.1", "scipy": "1.17.0", "torch": "2.13.0", "titer": "0.1.0"},
        ),
        seeds=SEEDS,
        commands=(
            s.Command(purpose="Run this audit again", command="titer audit plan.yaml --out out/"),
            s.Command(purpose="Render this page again", command="titer report out/"),
        ),
    )


def models() -> tuple[s.ModelCard, ...]:
    made = [
        s.ModelCard(
            name=name,
            digest=f"{index}9c0e41b7d5a2",
            family=family,
            access="gradients",
            parameters=65_412 + 913 * index,
            task=s.Task(
                kind="anomaly" if family == "autoencoder" else "classification",
                classes=classes,
                positive_classes=classes[1:],
                threshold=0.412,
                threshold_source="validation data, sensitivity 0.90",
            ),
            note="Trained here in five seeds; stopped early on validation loss.",
        )
        for index, (name, (family, _, classes, _, _)) in enumerate(MODELS.items())
    ]
    age = s.Task(kind="regression", tolerance=5, unit="years")
    labels = s.Task(kind="multilabel", classes=("effusion", "edema", "nodule"))
    made.append(s.ModelCard(name="brain-age", digest="77aa01", family="CNN", task=age, access="gradients"))
    made.append(s.ModelCard(name="chest-labels", digest="77aa02", family="CNN", task=labels, access="scores"))
    return tuple(made)


def datasets() -> tuple[s.DataCard, ...]:
    return tuple(
        s.DataCard(
            name=name,
            title=f"{name[0].upper()}{name[1:]}, generated with ground truth",
            license="Apache-2.0",
            citation="McSharry et al. 2003, IEEE Trans Biomed Eng 50(3)" if "ECG" in name else "Titer, this version",
            digest=f"5fe0{index}a",
            n=n * 4,
            patients=n * 4 // 3,
            unit=KINDS[name][1],
            shape=KINDS[name][0],
            groups=("sex", "age") if name == "chest phantom" else (),
            synthetic=True,
            splits=tuple(
                s.SplitCount(
                    split=split,
                    n=n * part,
                    patients=n * part // 3,
                    per_class={classes[0]: n * part - n * part * 2 // 5, classes[1]: n * part * 2 // 5},
                )
                for split, part in (("train", 2), ("validation", 1), ("test", 1))
            ),
            leakage=s.LeakageCheck(status="passed", sentence="No patient and no near-duplicate stands in two parts."),
        )
        for index, (name, (_, _, classes, _, n)) in enumerate((row[1], row) for row in MODELS.values())
    )


def threats() -> tuple[s.Threat, ...]:
    sentences = {
        "chest phantom": "The attacker knows the model and its gradients and may change each pixel by the limit.",
        "ECG twin": "The attacker knows the model and its gradients and may move each sample by the limit.",
        "notes twin": "The attacker knows the model and may replace up to the limit of words by clinical synonyms.",
        "scan twin": "The attacker knows the model and its gradients and may change each pixel by the limit.",
    }
    made = []
    for name, (unit, steps) in LIMITS.items():
        limits = tuple(s.Limit(value=value, unit=unit, label=label) for value, label in steps)
        made.append(
            s.Threat(
                id=name,
                sentence=sentences[name],
                goal="untargeted",
                knowledge="gradients, defense known",
                change="synonym edits" if unit == "edited words" else "additive, L-infinity",
                limits=limits,
                main_limit=limits[-2],
            )
        )
    return tuple(made)


def attacks() -> tuple[s.AttackCard, ...]:
    def card(name: str, title: str, reference: str, control: bool = False, **settings: float | str) -> s.AttackCard:
        return s.AttackCard(name=name, title=title, settings=dict(settings), reference=reference, control=control)

    return (
        card("FGSM", "Fast gradient sign method", "Goodfellow et al. 2015, arXiv 1412.6572", loss="cross-entropy"),
        card(
            "PGD",
            "Projected gradient descent",
            "Madry et al. 2018, arXiv 1706.06083",
            steps=20,
            restarts=2,
            loss="margin",
        ),
        card(
            "JSMA",
            "Jacobian saliency map attack",
            "Papernot et al. 2016, arXiv 1511.07528",
            variant="top-k",
            features=256,
        ),
        card("noise", "Random noise", "control; Titer", control=True, draws=10),
    )


def other_tasks() -> tuple[s.Cell, ...]:
    limit = s.Limit(value=0.002, unit="intensity", label="0.002")
    shared = {
        "dataset": "scan twin",
        "attack": "PGD",
        "threat": "scan twin",
        "limit": limit,
        "n_cases": 200,
        "n_trials": 5,
    }
    trials = tuple(s.TrialValue(seed=seed, clean=5.3, attacked=13.2, n=200) for seed in SEEDS)
    age = s.RegressionMetrics(
        rmse_clean=amount(5.3, 200, "years"),
        rmse_attacked=amount(13.2, 200, "years"),
        mae_clean=amount(4.1, 200, "years"),
        mae_attacked=amount(11.8, 200, "years"),
        within_tolerance_clean=share(139, 200),
        within_tolerance_attacked=share(12, 200),
        attack_success_rate=share(127, 139),
    )
    labels = s.MultiLabelMetrics(
        macro_auroc_clean=score(0.871, 200),
        macro_auroc_attacked=score(0.402, 200),
        exact_match_clean=share(144, 200),
        exact_match_attacked=share(31, 200),
        attack_success_rate=share(113, 144),
        labels=tuple(
            s.LabelMetrics(label=label, auroc_clean=score(0.87, 200), auroc_attacked=score(0.4, 200))
            for label in ("effusion", "edema", "nodule")
        ),
    )
    test = s.TestResult(
        name="paired t-test",
        statistic_name="t",
        statistic=-21.4,
        df=(4,),
        p=0.00003,
        n=5,
        unit="years",
        estimate=7.9,
        low=6.9,
        high=8.9,
        method="paired t",
        sentence="The error grows.",
    )
    made = s.Cell(
        id="brain-age/pgd",
        model="brain-age",
        metrics=age,
        trials=trials,
        tests=(test,),
        rerun="titer audit plan.yaml --only brain-age/pgd",
        mean_cost=points(0.2, 200, 0.1),
        **shared,
    )
    return made, made.model_copy(
        update={
            "id": "chest-labels/pgd",
            "model": "chest-labels",
            "metrics": labels,
            "rerun": "titer audit plan.yaml --only chest-labels/pgd",
        }
    )
