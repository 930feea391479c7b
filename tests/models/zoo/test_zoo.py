"""Reference models: shapes, batch independence, gradients, and what each must be by construction."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from trained_examples import halves, notes, spots

from titer.cases.case import Batch
from titer.cases.dataset import DataCard, Dataset
from titer.cases.space import Space
from titer.errors import DataError, PlanError
from titer.models.adapters.torch import TorchModel
from titer.models.task import Task
from titer.models.training import train
from titer.models.zoo._parts import noisy, objective, rescaled, shifted, within
from titer.models.zoo._signal import OwnScale
from titer.models.zoo._words import counted, hidden_words, rarity_of, topics
from titer.models.zoo.t_ae import TAE
from titer.models.zoo.t_bow import TBOW
from titer.models.zoo.t_cnn import TCNN
from titer.models.zoo.t_cnn1d import TCNN1d
from titer.models.zoo.t_pca import TPCA
from titer.models.zoo.t_rnn import TRNN
from titer.models.zoo.t_trf import TTRF
from titer.models.zoo.t_unet import TUNet
from titer.registry import MODELS

WORDS = ("[padding]", *(f"word{k}" for k in range(1, 40)))
IMAGE = Space("image", (1, 32, 32), "grey level (0-1)")
SIGNAL = Space("signal", (1, 250), "mV", -5.0, 5.0, rate=125.0)
NOTE = Space("tokens", (24,), "word", vocabulary=WORDS)
TWO, FOUR = Task("classes", ("a", "b")), Task("classes", ("a", "b", "c", "d"))
CARD = DataCard("made", "made for a test", "none", "none", "none", "none", synthetic=True)


def inputs_for(space: Space, count: int = 4, seed: int = 0) -> Tensor:
    """Valid cases."""
    rng = np.random.default_rng(seed)
    if space.kind == "tokens":
        tokens = rng.integers(1, len(space.vocabulary), size=(count, *space.shape))
        tokens[:, -space.shape[0] // 4 :] = space.padding
        return torch.from_numpy(tokens)
    low, high = (np.asarray(edge, dtype=np.float64) for edge in (space.low, space.high))
    return torch.from_numpy(rng.uniform(low, high, size=(count, *space.shape)).astype(np.float32))


CASES: list[tuple[Any, Space, Task]] = [
    (TCNN(), IMAGE, TWO),
    (TCNN(size="mini"), IMAGE, FOUR),
    (TCNN(), Space("image", (3, 28, 28), "grey level (0-1)"), Task("binary", ("no", "yes"))),
    (TCNN(), Space("image", (1, 9, 33), "grey level (0-1)"), TWO),
    (TCNN(), Space("volume", (1, 16, 16, 16), "grey level (0-1)"), TWO),
    (TCNN(size="mini"), Space("volume", (2, 8, 12, 16), "grey level (0-1)"), FOUR),
    (TRNN(), SIGNAL, FOUR),
    (TRNN(hidden=8, stride=3, own_scale="center"), Space("signal", (12, 100), "mV", -5.0, 5.0), TWO),
    (TCNN1d(), SIGNAL, FOUR),
    (TCNN1d(own_scale="standard"), Space("signal", (2, 7), "mV", -5.0, 5.0), Task("multilabel", ("a", "b", "c"))),
    (TTRF(), NOTE, TWO),
    (TTRF(window=7, layers=1), NOTE, FOUR),
    (TTRF(width=12, heads=3, window=100), NOTE, Task("binary", ("no", "yes"))),
    (TBOW(), NOTE, FOUR),
    (TAE(), IMAGE, Task("anomaly", ("normal", "abnormal"))),
    (TAE(bottleneck=8), Space("image", (2, 27, 30), "grey level (0-1)"), Task("anomaly", ("normal", "abnormal"))),
]


MAPS = Task("segmentation", ("none", "lesion"), tolerance=0.8)
CASES += [
    (TUNet(), IMAGE, MAPS),
    (TUNet(width=4, levels=3), Space("image", (2, 27, 30), "grey level (0-1)"), MAPS),
    (TUNet(levels=1), Space("volume", (1, 7, 8, 9), "grey level (0-1)"), MAPS),
    (TUNet(), SIGNAL, MAPS),
]


@pytest.mark.parametrize(("recipe", "space", "task"), CASES, ids=lambda each: getattr(each, "name", ""))
class TestEveryRecipe:
    def test_scores_have_the_shape_of_the_task(self, recipe: Any, space: Space, task: Task) -> None:
        module = recipe.module(space, task).eval()
        assert module(inputs_for(space)).shape == (4, task.outputs, *(space.shape[1:] if recipe.maps else ()))
        assert recipe.settings()["rate"] == recipe.rate

    def test_a_case_does_not_feel_its_neighbors(self, recipe: Any, space: Space, task: Task) -> None:
        module = recipe.module(space, task).eval()
        batch = inputs_for(space, 6)
        with torch.no_grad():
            together = module(batch)
            alone = torch.cat([module(batch[k : k + 1]) for k in range(6)])
        torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)

    def test_every_weight_learns(self, recipe: Any, space: Space, task: Task) -> None:
        module = recipe.module(space, task).train()
        with torch.no_grad():  # a bag of words begins at zero
            for weight in module.parameters():
                weight.add_(0.01 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(0)))
        targets = torch.arange(8) % 2 if task.kind != "multilabel" else torch.ones(8, task.outputs)
        if recipe.maps:
            targets = (inputs_for(space, 8, seed=1)[:, 0] > 0.5).long()
        recipe.loss(module, inputs_for(space, 8), targets, task).mean().backward()
        for name, weight in module.named_parameters():
            assert weight.grad is not None, name
            assert weight.grad.abs().max() > 0, name

    def test_gradients_reach_the_input(self, recipe: Any, space: Space, task: Task) -> None:
        module = recipe.module(space, task).eval()
        if space.kind == "tokens":
            return
        inputs = inputs_for(space).requires_grad_()
        (slope,) = torch.autograd.grad(module(inputs)[:, 0].sum(), inputs)
        assert torch.isfinite(slope).all()
        assert (slope.flatten(1).abs().amax(dim=1) > 0).all()

    def test_settings_of_a_kind_unknown_are_refused(self, recipe: Any, space: Space, task: Task) -> None:
        for wrong in ({"rate": 0.0}, {"rate": float("nan")}, {"batch": 1}, {"epochs": 0}, {"patience": True}):
            with pytest.raises(PlanError):
                type(recipe)(**wrong)


def test_all_are_found_by_name() -> None:
    assert {"t_ae", "t_bow", "t_cnn", "t_cnn1d", "t_mlp", "t_pca", "t_rnn", "t_trf", "t_unet"} <= set(MODELS.names())


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (TCNN, {"size": "huge"}),
        (TCNN, {"shift": -0.1}),
        (TCNN, {"flip": 3}),
        (TRNN, {"own_scale": "max"}),
        (TCNN1d, {"kernel": 4}),
        (TTRF, {"width": 65}),
        (TTRF, {"start": "glove"}),
        (TTRF, {"window": -1}),
        (TBOW, {"word_dropout": -1}),
        (TAE, {"bottleneck": 0}),
        (TUNet, {"levels": 0}),
    ],
)
def test_impossible_settings_are_refused(kind: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(PlanError):
        kind(**wrong)


def test_fits_by_kind_and_task() -> None:
    inputs, targets = np.zeros((4, 1, 32, 32), dtype=np.float32), np.array([0, 1, 0, 1])
    classes = Dataset(CARD, IMAGE, "classes", ("a", "b"), (1,), Batch.of(inputs, targets))
    anomaly = replace(classes, task="anomaly")
    assert TCNN().fits(classes)
    assert not TCNN().fits(anomaly)
    assert TAE().fits(anomaly)
    assert not TAE().fits(classes)
    assert not TRNN().fits(classes)
    marked = np.broadcast_to(np.arange(32) % 2, (4, 32, 32))
    maps = replace(classes, task="segmentation", cases=replace(classes.cases, targets=marked))
    assert TUNet().fits(maps)
    assert not TUNet().fits(classes)
    assert not TCNN().fits(maps)
    assert TCNN().build(classes)(torch.zeros(2, 1, 32, 32)).shape == (2, 2)


def test_full_sizes_are_as_declared() -> None:
    count = sum(weight.numel() for weight in TCNN().module(IMAGE, TWO).parameters())
    assert 55_000 < count < 70_000


class TestNotes:
    @pytest.mark.parametrize("recipe", [TTRF(), TTRF(window=5), TTRF(weighting="rarity"), TBOW()])
    def test_padding_has_no_influence(self, recipe: Any) -> None:
        """The vector behind padding may be anything."""
        module = recipe.module(NOTE, TWO).eval()
        with torch.no_grad():
            for weight in module.parameters():
                weight.add_(0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(0)))
            before = module(inputs_for(NOTE))
            embedding = next(part for part in module.modules() if isinstance(part, nn.Embedding))
            embedding.weight[NOTE.padding] = 50.0
            torch.testing.assert_close(module(inputs_for(NOTE)), before)

    @pytest.mark.parametrize("recipe", [TTRF(), TTRF(window=5), TBOW()])
    def test_notes_without_words_get_an_answer(self, recipe: Any) -> None:
        module = recipe.module(NOTE, TWO).eval()
        assert torch.isfinite(module(torch.zeros((3, 24), dtype=torch.int64))).all()

    @pytest.mark.parametrize("recipe", [TTRF(), TBOW()])
    def test_there_is_one_embedding_and_the_adapter_can_replace_it(self, recipe: Any) -> None:
        module = recipe.module(NOTE, TWO).eval()
        assert sum(isinstance(part, nn.Embedding) for part in module.modules()) == 1
        with torch.no_grad():
            for weight in module.parameters():
                weight.add_(0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(0)))
        model = TorchModel(module, NOTE, TWO)
        tokens = inputs_for(NOTE)
        embedded = model.embed(tokens)
        torch.testing.assert_close(model.scores_embedded(tokens, embedded), model.scores(tokens))
        moved = embedded.detach() + torch.randn(embedded.shape, generator=torch.Generator().manual_seed(1))
        moved.requires_grad_()
        scores = model.scores_embedded(tokens, moved)
        assert not torch.allclose(scores, model.scores(tokens))
        (slope,) = torch.autograd.grad(scores[:, 0].sum(), moved)
        assert (slope[tokens == 0] == 0).all()
        assert (slope[tokens != 0].abs().amax(dim=-1) > 0).all()

    def test_word_order_matters_to_the_transformer_and_not_to_the_bag(self) -> None:
        tokens = inputs_for(NOTE)
        turned = tokens.clone()
        turned[:, :18] = tokens[:, :18].flip(1)
        for recipe, same in ((TTRF(), False), (TBOW(), True)):
            module = recipe.module(NOTE, TWO).eval()
            with torch.no_grad():
                for weight in module.parameters():
                    weight.add_(0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(0)))
            assert torch.allclose(module(tokens), module(turned), atol=1e-5) == same

    def test_the_bag_agrees_with_scikit_learn(self) -> None:
        """TfidfVectorizer(sublinear_tf=True) of scikit-learn and a matrix product."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        tokens = inputs_for(NOTE, 30).numpy()
        tokens[:, 3] = tokens[:, 4]
        texts = [" ".join(WORDS[token] for token in note if token) for note in tokens]
        vectorizer = TfidfVectorizer(sublinear_tf=True, vocabulary={word: k for k, word in enumerate(WORDS)})
        table = vectorizer.fit_transform(texts).toarray()
        module = TBOW().module(NOTE, FOUR).eval()
        TBOW().prepare(module, Batch.of(tokens, np.zeros(30, dtype=np.int64)), NOTE, 0)
        weight = torch.randn((len(WORDS), 4), generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            module.get_parameter("words.weight").copy_(weight)
            found = module(torch.from_numpy(tokens))
        np.testing.assert_allclose(found.numpy(), table @ weight.numpy(), rtol=1e-4, atol=1e-5)

    def test_the_hinge_agrees_with_scikit_learn(self) -> None:
        """LinearSVC(C=1) of scikit-learn on the same weighted counts decides alike."""
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.svm import LinearSVC

        data, parts = notes(320), halves(320)
        recipe = TBOW(objective="hinge", epochs=60, patience=60)
        model = train(recipe, data, parts, seed=0)
        words = [f"w{k}" for k in range(len(data.space.vocabulary))]
        texts = [" ".join(words[token] for token in note if token) for note in data.cases.inputs]
        vectorizer = TfidfVectorizer(sublinear_tf=True, token_pattern=r"\S+")
        known = vectorizer.fit_transform([texts[row] for row in parts.train])
        theirs = LinearSVC(C=1.0).fit(known, data.cases.targets[parts.train])
        asked = vectorizer.transform([texts[row] for row in parts.test])
        ours = model.predict(data.cases.inputs[parts.test])
        assert (ours.argmax(axis=1) == theirs.predict(asked)).mean() >= 0.97
        # With two classes each side is learned against the other, so that scores are a decision value and its negative.
        assert np.corrcoef(ours[:, 1] - ours[:, 0], theirs.decision_function(asked))[0, 1] > 0.99

    def test_topics_bring_words_of_one_kind_together(self) -> None:
        """Two kinds of notes with words of their own: vectors within a kind agree, across kinds they do not."""
        rng = np.random.default_rng(0)
        kind = np.arange(60) % 2
        tokens = rng.integers(1, 10, size=(60, 24)) + 15 * kind[:, None]
        table = counted(Batch.of(tokens, kind), NOTE)
        vectors = topics(table, rarity_of(table), 2)
        first, second = vectors[1:10], vectors[16:25]
        np.testing.assert_allclose((vectors[[1, 17]] ** 2).sum(dim=1), 2.0, rtol=1e-4)
        assert (first @ first.T).min() > 1.5
        assert (second @ second.T).min() > 1.5
        assert (first @ second.T).abs().max() < 0.5
        assert (vectors[30:] == 0).all()
        assert topics(table, rarity_of(table), 64).shape == (40, 64)

    def test_topics_are_read_off_the_training_notes(self) -> None:
        batch = Batch.of(inputs_for(NOTE, 40).numpy(), np.arange(40) % 2)
        module = TTRF(start="topics", weighting="rarity").module(NOTE, TWO)
        TTRF(start="topics", weighting="rarity").prepare(module, batch, NOTE, 0)
        assert float(module.get_parameter("words.weight")[1].detach().norm()) == pytest.approx(8.0, rel=1e-3)
        assert module.get_buffer("rarity").min() >= 1.0

    def test_hidden_words(self) -> None:
        tokens = inputs_for(NOTE, 200)
        hidden = hidden_words(tokens, 0.3, NOTE, torch.Generator().manual_seed(0))
        share = float((hidden != tokens).sum() / (tokens != 0).sum())
        assert 0.25 < share < 0.35
        assert (hidden[hidden != tokens] == 0).all()

    def test_attention_with_one_window_is_attention_over_the_whole_note(self) -> None:
        torch.manual_seed(0)
        whole = TTRF().module(NOTE, TWO).eval()
        blocks = TTRF(window=24).module(NOTE, TWO).eval()
        blocks.load_state_dict(whole.state_dict())
        torch.testing.assert_close(whole(inputs_for(NOTE)), blocks(inputs_for(NOTE)))
        small = TTRF(window=6).module(NOTE, TWO).eval()
        small.load_state_dict(whole.state_dict())
        assert not torch.allclose(whole(inputs_for(NOTE)), small(inputs_for(NOTE)))


class TestAutoencoder:
    def test_the_score_is_the_mean_squared_residual(self) -> None:
        module: Any = TAE(bottleneck=8).module(IMAGE, Task("anomaly", ("a", "b"))).eval()
        inputs = inputs_for(IMAGE)
        wanted = ((inputs - module.rebuild(inputs)) ** 2).reshape(4, -1).mean(dim=1)
        torch.testing.assert_close(module(inputs)[:, 0], wanted)

    def test_the_gradient_flows_through_both_terms(self) -> None:
        """Against central differences in double precision; the direct term alone would miss them."""
        module: Any = TAE(bottleneck=8).module(IMAGE, Task("anomaly", ("a", "b"))).eval().double()
        inputs = inputs_for(IMAGE, 1).double().requires_grad_()
        (slope,) = torch.autograd.grad(module(inputs).sum(), inputs)
        direct = 2 * (inputs - module.rebuild(inputs)).detach() / inputs[0].numel()
        for place in (5, 400, 777):
            step = torch.zeros(1024, dtype=torch.float64)
            step[place] = 1e-5
            with torch.no_grad():
                up, down = (float(module(inputs + sign * step.reshape(1, 1, 32, 32))) for sign in (1, -1))
            assert float(slope.flatten()[place]) == pytest.approx((up - down) / 2e-5, rel=1e-4, abs=1e-9)
        assert not torch.allclose(slope, direct, rtol=1e-3)


class TestParts:
    def test_losses_agree_with_torch(self) -> None:
        scores = torch.randn((5, 3), generator=torch.Generator().manual_seed(0))
        targets = torch.tensor([0, 2, 1, 1, 0])
        wanted = nn.functional.cross_entropy(scores, targets)
        torch.testing.assert_close(objective(Task("classes", ("a", "b", "c")), scores, targets).mean(), wanted)
        several = (scores > 0).long()
        logistic = nn.functional.binary_cross_entropy_with_logits(scores, several.float(), reduction="none").sum(dim=1)
        torch.testing.assert_close(objective(Task("multilabel", ("a", "b", "c")), scores, several), logistic)
        one, side = scores[:, :1], torch.tensor([0, 1, 1, 0, 1])
        torch.testing.assert_close(
            objective(Task("binary", ("a", "b")), one, side),
            nn.functional.binary_cross_entropy_with_logits(one[:, 0], side.float(), reduction="none"),
        )
        assert (objective(Task("anomaly", ("a", "b")), one, side) == one[:, 0]).all()
        number = Task("regression", ("age",), tolerance=1.0)
        torch.testing.assert_close(objective(number, one, side), (one[:, 0] - side) ** 2)
        said, true = (
            50.0 * torch.tensor([[[1.0, 1.0], [0.0, 0.0]], [[1.0, 1.0], [0.0, 0.0]]]),
            torch.tensor([[0, 0], [0, 1]]),
        )
        # Two pixels, sure of the background: right wholly; and half of it missed, with one pixel more on both sides.
        torch.testing.assert_close(objective(MAPS, said, true), torch.tensor([0.0, 25.0 + 0.5]))

    def test_shifts_move_whole_cases_by_whole_steps(self) -> None:
        line = torch.arange(20.0).expand(50, 1, 20)
        moved = shifted(line, 0.2, torch.Generator().manual_seed(0))
        offsets = (moved - line)[:, 0, 8:12]
        assert (offsets == offsets[:, :1]).all()
        assert offsets.abs().max() == 4
        assert torch.equal(shifted(line, 0.01, torch.Generator().manual_seed(0)), line)
        assert moved.min() == 0
        assert moved.max() == 19

    def test_stretching_keeps_the_mean(self) -> None:
        inputs = inputs_for(IMAGE, 20)
        found = rescaled(inputs, 0.3, torch.Generator().manual_seed(0))
        torch.testing.assert_close(found.mean(dim=(1, 2, 3)), inputs.mean(dim=(1, 2, 3)))
        ratio = found.flatten(1).std(dim=1) / inputs.flatten(1).std(dim=1)
        assert ratio.min() > 0.69
        assert ratio.max() < 1.31
        assert ratio.std() > 0.1

    def test_noise_stays_below_its_size(self) -> None:
        found = noisy(torch.zeros(40, 1, 50, 50), 0.2, torch.Generator().manual_seed(0))
        spread = found.flatten(1).std(dim=1)
        assert spread.max() < 0.21
        assert spread.min() < 0.03

    @pytest.mark.parametrize(
        ("recipe", "space"),
        [
            (TCNN(flip=True, shift=0.2, contrast=0.5, noise=0.3), IMAGE),
            (TCNN1d(shift=0.2, amplitude=0.5, noise=3.0, wander=2.0), SIGNAL),
        ],
    )
    def test_augmented_cases_stay_in_their_space(self, recipe: Any, space: Space) -> None:
        inputs = inputs_for(space, 8)
        before = inputs.clone()
        found = recipe.augment(inputs, space, torch.Generator().manual_seed(0))
        space.check(found.numpy())
        assert torch.equal(inputs, before)
        assert not torch.equal(found, before)
        assert torch.equal(found, recipe.augment(inputs, space, torch.Generator().manual_seed(0)))
        assert torch.equal(within(inputs, space), inputs)

    def test_own_scale(self) -> None:
        inputs = 0.3 + 2 * torch.randn((3, 2, 500), generator=torch.Generator().manual_seed(0))
        assert torch.equal(OwnScale("none")(inputs), inputs)
        torch.testing.assert_close(OwnScale("center")(inputs + 1.0), OwnScale("center")(inputs))
        torch.testing.assert_close(OwnScale("standard")(3 * inputs), OwnScale("standard")(inputs), rtol=1e-3, atol=1e-3)
        assert torch.isfinite(OwnScale("standard")(torch.zeros(1, 1, 9))).all()


class TestPrincipalComponents:
    def fitted(self, **settings: Any) -> tuple[Any, Dataset, Any]:
        data, parts = spots(), halves(160)
        return train(TPCA(components=3, **settings), data, parts, seed=0), data, parts

    def test_the_score_is_what_scikit_learn_leaves(self) -> None:
        from sklearn.decomposition import PCA

        model, data, parts = self.fitted(own_scale="none", detail=0)
        learned = data.cases.take(parts.train)
        flat = learned.inputs[learned.targets == 0].reshape(-1, 256).astype(np.float64)
        mean, spread = flat.mean(), flat.std()
        theirs = PCA(3).fit((flat - mean) / spread)
        asked = (data.cases.inputs[parts.test].reshape(-1, 256) - mean) / spread
        rest = asked - theirs.inverse_transform(theirs.transform(asked))
        ours = model.predict(data.cases.inputs[parts.test])[:, 0]
        np.testing.assert_allclose(ours, (rest**2).mean(axis=1), rtol=1e-3, atol=1e-5)

    def test_it_finds_spots_and_is_fitted_without_epochs(self) -> None:
        model, data, parts = self.fitted()
        scores, targets = model.predict(data.cases.inputs[parts.test])[:, 0], data.cases.targets[parts.test]
        assert scores[targets == 1].min() > scores[targets == 0].max()
        assert model.record.best_epoch == 0
        assert np.isfinite(model.record.validation_loss)

    @pytest.mark.parametrize("own_scale", ["case", "local"])
    def test_contrast_and_brightness_have_hardly_any_influence(self, own_scale: Any) -> None:
        model, data, parts = self.fitted(own_scale=own_scale)
        cases = data.cases.inputs[parts.test]
        plain, dimmed = model.predict(cases), model.predict(0.6 * cases + 0.2)
        assert np.corrcoef(plain[:, 0], dimmed[:, 0])[0, 1] > 0.99

    def test_more_components_than_cases_are_refused(self) -> None:
        with pytest.raises(DataError, match="lower 'components'"):
            train(TPCA(components=100), spots(), halves(160), seed=0)
