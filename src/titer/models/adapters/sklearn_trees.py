"""Decision trees of scikit-learn as plain arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from titer.models.adapters.sklearn_torch import Untranslatable
from titer.models.trees import Forest, Tree

Array = np.ndarray[Any, Any]

_CLASSIFIERS = ("RandomForestClassifier", "ExtraTreesClassifier")
_REGRESSORS = ("RandomForestRegressor", "ExtraTreesRegressor")
_BOOSTED = ("GradientBoostingClassifier", "GradientBoostingRegressor")
_BINNED = ("HistGradientBoostingClassifier", "HistGradientBoostingRegressor")
_SINGLE = ("DecisionTreeClassifier", "ExtraTreeClassifier", "DecisionTreeRegressor", "ExtraTreeRegressor")


def forest_of(estimator: Any, method: str, order: Sequence[int] | None = None) -> Forest:
    """The trees of a fitted estimator, in the order of its own classes; sums are those of `estimator.<method>`.

    Knows decision trees, random forests, extra trees, gradient boosting and histogram gradient boosting, for one
    quantity or exclusive classes, asked for probabilities or numbers. Verify it on inputs before use.

    Arguments
        estimator: fitted. method: "predict_proba" or "predict" (regression).
        order: position of each feature of the estimator among the columns that come in.

    Raises `Untranslatable` with the part that has no translation.

    >>> from sklearn.tree import DecisionTreeRegressor
    >>> stump = DecisionTreeRegressor(max_depth=1).fit([[0.0], [1.0]], [2.0, 5.0])
    >>> forest_of(stump, "predict").answer(np.array([[0.5], [0.6]])).tolist()
    [[2.0], [5.0]]
    """
    kind = type(estimator).__name__
    if hasattr(estimator, "best_estimator_"):
        return forest_of(estimator.best_estimator_, method, order)
    if kind not in (*_CLASSIFIERS, *_REGRESSORS, *_BOOSTED, *_BINNED, *_SINGLE):
        raise Untranslatable(f"{kind} into trees")
    asked = "predict" if kind.endswith("Regressor") else "predict_proba"
    if method != asked or getattr(estimator, "n_outputs_", 1) != 1:
        raise Untranslatable(f"{kind}.{method} into trees")
    if kind in _BOOSTED and estimator.init not in (None, "zero"):
        raise Untranslatable("a boosted model that starts from another estimator")
    columns = list(range(estimator.n_features_in_)) if order is None else list(order)
    if kind in _BINNED:
        return _binned(estimator, columns)
    if kind in _BOOSTED:
        return _boosted(estimator, columns)
    members = [estimator] if kind in _SINGLE else list(estimator.estimators_)
    shares = kind.endswith("Classifier")
    trees = tuple(_tree(each.tree_, columns, _leaves(each.tree_, shares) / len(members)) for each in members)
    width = trees[0].value.shape[1]
    return Forest(trees, np.zeros(width), "shares" if shares else "scores")


def agreeing_forest(
    estimator: Any,
    method: str,
    order: Sequence[int] | None,
    columns: Sequence[Sequence[int]] | None,
    probes: Array,
    told: Array,
) -> Forest | None:
    """The trees with outputs in the order of the data's classes, if they say of probes what the model says, else None.

    Arguments
        columns: per class of the data the outputs that speak of it; None if they are in its order.
        probes: [n, *shape] inputs. told: [n, K] the model's scores of them.
    """
    try:
        own = forest_of(estimator, method, order)
    except Untranslatable:
        return None
    found = own if columns is None else own.ordered(columns)
    if found is None:
        return None
    made = found.answer(probes)
    if method != "predict":
        made = np.log(np.maximum(made, 1e-12)) if found.outputs == "shares" else made
        # One common shift of all scores changes nothing; a single score stands for the second of two.
        told = told - told[:, :1] if told.shape[1] > 1 else np.concatenate((0 * told, told), axis=1)
        made = made - made[:, :1]
    return found if np.allclose(told, made, rtol=1e-6, atol=1e-6) else None


def _leaves(tree: Any, shares: bool) -> Array:
    value = np.asarray(tree.value[:, 0, :], dtype=np.float64)
    return value / value.sum(axis=1, keepdims=True) if shares else value


def _tree(tree: Any, columns: Sequence[int], value: Array) -> Tree:
    if getattr(tree, "missing_go_to_left", None) is None:
        raise Untranslatable("trees of this version of scikit-learn")
    asked = np.asarray(tree.feature, dtype=np.int64)
    feature = np.where(tree.children_left < 0, -1, np.asarray(columns)[np.maximum(asked, 0)])
    left, right = (
        np.maximum(np.asarray(side, dtype=np.int64), 0) for side in (tree.children_left, tree.children_right)
    )
    return Tree(feature, np.asarray(tree.threshold, dtype=np.float64), left, right, value)


def _boosted(estimator: Any, columns: Sequence[int]) -> Forest:
    rounds, width = estimator.estimators_.shape
    # Scores of two classes are one number; it becomes the score of the second.
    pair = type(estimator).__name__.endswith("Classifier") and width == 1
    trees = []
    for step in range(rounds):
        for k in range(width):
            inner = estimator.estimators_[step, k].tree_
            value = np.zeros((inner.node_count, 2 if pair else width))
            value[:, 1 if pair else k] = estimator.learning_rate * inner.value[:, 0, 0]
            trees.append(_tree(inner, columns, value))
    return _based(tuple(trees), estimator, pair, single=True)


def _binned(estimator: Any, columns: Sequence[int]) -> Forest:
    if getattr(estimator, "_preprocessor", None) is not None or not hasattr(estimator, "_predictors"):
        raise Untranslatable("categorical features of histogram boosting")
    if type(estimator).__name__.endswith("Regressor") and estimator.loss not in ("squared_error", "absolute_error"):
        raise Untranslatable(f"histogram boosting with loss {estimator.loss!r}")
    width = len(estimator._predictors[0])  # noqa: SLF001 - the trees are published in no other way
    pair = type(estimator).__name__.endswith("Classifier") and width == 1
    trees = []
    for step in estimator._predictors:  # noqa: SLF001
        for k, predictor in enumerate(step):
            nodes = predictor.nodes
            if nodes["is_categorical"].any():
                raise Untranslatable("categorical features of histogram boosting")
            leaf = nodes["is_leaf"].astype(bool)
            value = np.zeros((len(nodes), 2 if pair else width))
            value[:, 1 if pair else k] = nodes["value"]
            feature = np.where(leaf, -1, np.asarray(columns)[nodes["feature_idx"] * ~leaf])
            left, right = (np.where(leaf, 0, nodes[side]).astype(np.int64) for side in ("left", "right"))
            trees.append(Tree(feature, nodes["num_threshold"].astype(np.float64), left, right, value))
    return _based(tuple(trees), estimator, pair, single=False)


def _based(trees: tuple[Tree, ...], estimator: Any, pair: bool, *, single: bool) -> Forest:
    """A forest whose base is what the trees leave of one answer."""
    width = trees[0].value.shape[1]
    empty = Forest(trees, np.zeros(width), "scores", single)
    # All zeros, so that the order of features does not matter.
    probe: Any = np.zeros((1, estimator.n_features_in_))
    given = probe
    if hasattr(estimator, "feature_names_in_"):
        import pandas as pd

        given = pd.DataFrame(probe, columns=list(estimator.feature_names_in_))
    ask = estimator.decision_function if hasattr(estimator, "decision_function") else estimator.predict
    told = np.asarray(ask(given), dtype=np.float64).reshape(-1)
    rest = np.concatenate(([0.0], told)) if pair else told
    return Forest(trees, rest - empty.answer(probe)[0], "scores", single)
