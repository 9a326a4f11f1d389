import itertools

import pytest
import torch

from fraud_ae.models.network import (
    ACTIVATIONS,
    Autoencoder,
    MaskedAutoencoder,
    VariationalAutoencoder,
)

N_INPUTS = 7
CLASSES = (Autoencoder, VariationalAutoencoder, MaskedAutoencoder)


def rows(n: int = 12, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, N_INPUTS, generator=torch.Generator().manual_seed(seed))


def seeded(cls=Autoencoder, **settings) -> Autoencoder:
    torch.manual_seed(0)
    return cls(N_INPUTS, **settings)


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
def test_reconstructions_have_the_shape_of_the_inputs(cls, norm):
    for activation, dropout in itertools.product(ACTIVATIONS, (0.0, 0.3)):
        network = seeded(cls, activation=activation, norm=norm, dropout=dropout, latent_dim=3)
        assert network(rows()).shape == (12, N_INPUTS)
        assert network.loss(rows()).shape == (len(rows()),)
        assert network.loss(rows()).isfinite().all()
        network.eval()
        residuals, code = network.signals(rows(1))
        assert network(rows(1)).shape == residuals.shape == (1, N_INPUTS)
        assert code.shape == (1, 3)


@pytest.mark.parametrize("cls", CLASSES)
def test_the_code_has_the_latent_size(cls):
    for latent_dim, hidden_sizes in itertools.product((1, 5, 20), ([], [6], [9, 4])):
        network = seeded(cls, hidden_sizes=hidden_sizes, latent_dim=latent_dim)
        assert network.encode(rows()).shape == (12, latent_dim)
        assert network(rows()).shape == (12, N_INPUTS)


def test_hidden_sizes_are_the_widths_of_the_layers_and_mirrored_in_the_decoder():
    network = seeded(hidden_sizes=[9, 5], latent_dim=2)
    linear = [m for m in network.modules() if isinstance(m, torch.nn.Linear)]
    assert [m.in_features for m in linear] == [N_INPUTS, 9, 5, 2, 5, 9]
    assert [m.out_features for m in linear] == [9, 5, 2, 5, 9, N_INPUTS]


@pytest.mark.parametrize("cls", [Autoencoder, VariationalAutoencoder])
def test_without_hidden_layers_the_network_is_linear(cls):
    network = seeded(cls, hidden_sizes=[], latent_dim=3, norm="batch", dropout=0.5)
    one, other = rows(seed=1), rows(seed=2)
    middle = network((one + other) / 2)
    torch.testing.assert_close(middle, (network(one) + network(other)) / 2)


def test_each_activation_gives_other_reconstructions():
    reconstructions = [seeded(activation=name)(rows()) for name in ACTIVATIONS]
    for one, other in itertools.combinations(reconstructions, 2):
        assert not torch.equal(one, other)


@pytest.mark.parametrize(
    ("cls", "settings"),
    [
        (Autoencoder, {"dropout": 0.5}),
        (Autoencoder, {"input_noise": 0.5}),
        (VariationalAutoencoder, {}),
        (MaskedAutoencoder, {}),
    ],
)
def test_what_is_random_is_so_in_training_alone(cls, settings):
    network = seeded(cls, **settings)
    assert network.loss(rows()).mean() != network.loss(rows()).mean()
    if "dropout" not in settings:
        assert torch.equal(network(rows()), seeded(cls)(rows()))
    network.eval()
    assert (
        network.loss(rows()).mean()
        == network.loss(rows()).mean()
        == seeded(cls).eval().loss(rows()).mean()
    )
    for one, other in zip(network.signals(rows()), network.signals(rows()), strict=True):
        assert torch.equal(one, other)


def test_the_loss_is_the_mean_squared_reconstruction_error():
    network = seeded()
    error = (network(rows()) - rows()).square().mean()
    torch.testing.assert_close(network.loss(rows()).mean(), error)


@pytest.mark.parametrize("cls", CLASSES)
def test_signals_are_the_residuals_and_the_code(cls):
    network = seeded(cls).eval()
    residuals, code = network.signals(rows())
    assert torch.equal(code, network.encode(rows()))
    masked = cls is MaskedAutoencoder
    expected = network.residuals(rows()) if masked else network(rows()) - rows()
    torch.testing.assert_close(residuals, expected)


def test_a_denoising_autoencoder_is_to_reconstruct_the_clean_inputs():
    class Constant(Autoencoder):
        def encode(self, inputs):
            return super().encode(torch.zeros_like(inputs))

    network = seeded(Constant, input_noise=5.0)
    # What is reconstructed depends on nothing, so that a noisy target alone would show.
    assert network.loss(rows()).mean() == network.loss(rows()).mean()


def test_wild_inputs_do_not_overflow_a_variational_loss():
    assert seeded(VariationalAutoencoder).loss(1e4 * rows()).mean().isfinite()


def test_kl_weight_adds_that_much_divergence_to_the_loss():
    losses = {
        w: seeded(VariationalAutoencoder, kl_weight=w).eval().loss(rows()).mean() for w in (0, 1, 2)
    }
    assert losses[1] > losses[0]
    torch.testing.assert_close(losses[2] - losses[0], 2 * (losses[1] - losses[0]))


def test_a_standard_normal_code_has_no_divergence():
    network = seeded(VariationalAutoencoder, kl_weight=10.0).eval()
    torch.nn.init.zeros_(network.encoder[-1].weight)
    torch.nn.init.zeros_(network.encoder[-1].bias)  # mean 0, log variance 0
    error = (network(rows()) - rows()).square().mean()
    torch.testing.assert_close(network.loss(rows()).mean(), error)


# Three numbers, and two categories of two values each, which do not stand together.
GROUPS = [0, 1, 3, 4, 2, 4, 3]


def masked(seed: int = 0, **settings) -> MaskedAutoencoder:
    torch.manual_seed(seed)
    return MaskedAutoencoder(N_INPUTS, **{"groups": GROUPS, "hidden_sizes": [9], **settings})


def fed(network: MaskedAutoencoder, call) -> tuple[torch.Tensor, torch.Tensor]:
    """What the encoder is shown in a call: inputs and mask, each (passes, n, n_inputs)."""
    seen = []
    hook = network.encoder.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    call(rows())
    hook.remove()
    return torch.stack(seen).chunk(2, dim=-1)


def by_feature(mask: torch.Tensor) -> torch.Tensor:
    """Whether each feature is hidden; all inputs of a feature have to agree."""
    groups = torch.tensor(GROUPS)
    for feature in range(5):
        of_feature = mask[..., groups == feature]
        assert (of_feature == of_feature[..., :1]).all()
    return mask[..., [GROUPS.index(feature) for feature in range(5)]]


def test_training_hides_that_share_of_whole_features_anew_in_each_row():
    network = masked(mask_ratio=0.3)
    masks = torch.cat([by_feature(fed(network, network.loss)[1]) for _ in range(50)])
    assert masks.mean() == pytest.approx(0.3, abs=0.03)
    assert len(masks.reshape(-1, 5).unique(dim=0)) > 20


@pytest.mark.parametrize(("rounds", "mask_ratio"), [(1, 0.05), (3, 0.3), (3, 0.5), (1, 0.9)])
def test_scoring_hides_each_feature_once_in_each_round(rounds, mask_ratio):
    network = masked(mask_ratio=mask_ratio, rounds=rounds).eval()
    _, masks = fed(network, network.residuals)
    hidden = by_feature(masks)[:, 0]
    assert (masks == masks[:, :1]).all()  # the same features in every row
    assert (hidden.sum(dim=0) == rounds).all()
    # Never all of them at once: from nothing nothing can be reconstructed.
    assert (hidden.mean(dim=1) < 1).all()
    assert (hidden.sum(dim=1) > 0).all()


def test_in_training_errors_of_what_is_hidden_weigh_more():
    network = masked(mask_ratio=0.5)
    torch.nn.init.zeros_(network.decoder[-1].weight)
    torch.nn.init.zeros_(network.decoder[-1].bias)  # so that every input is the error itself
    hidden, shown = torch.zeros(200, N_INPUTS), torch.zeros(200, N_INPUTS)
    torch.manual_seed(1)
    mask = fed(network, lambda _: network.loss(hidden).mean())[1][0]
    hidden[mask == 1], shown[mask == 0] = 1.0, 1.0
    losses = []
    for rows_ in (hidden, shown):
        torch.manual_seed(1)
        losses.append(network.loss(rows_).mean())
    assert losses[0] > 5 * losses[1] > 0


def test_what_is_hidden_is_not_shown():
    network = masked()
    for call in (network.loss, network.eval().residuals):
        inputs, mask = fed(network, call)
        assert (inputs[mask == 1] == 0).all()
        assert torch.equal(inputs[mask == 0], rows().expand_as(inputs)[mask == 0])


@pytest.mark.parametrize("feature", range(5))
def test_what_is_expected_of_a_feature_does_not_depend_on_its_value(feature):
    network, of_feature = masked(rounds=1).eval(), torch.tensor(GROUPS) == feature
    other = torch.where(of_feature, rows(seed=1), rows())
    before, after = (network.residuals(inputs) + inputs for inputs in (rows(), other))
    torch.testing.assert_close(after[:, of_feature], before[:, of_feature])
    assert not torch.allclose(after[:, ~of_feature], before[:, ~of_feature])


def test_residuals_are_the_root_mean_square_of_the_rounds_with_the_sign_of_their_mean():
    network, single = masked(rounds=2).eval(), masked(rounds=1).eval()
    single.load_state_dict({**network.state_dict(), "masks": single.masks})
    rounds = []
    for masks in network.masks.chunk(2):
        single.masks = masks
        rounds.append(single.residuals(rows()))
    mean, squares = sum(rounds) / 2, sum(r.square() for r in rounds) / 2
    torch.testing.assert_close(network.residuals(rows()), mean.sign() * squares.sqrt())


def test_the_loss_of_a_masked_autoencoder_in_evaluation_is_that_of_its_residuals():
    network = masked().eval()
    torch.testing.assert_close(
        network.loss(rows()).mean(), network.residuals(rows()).square().mean()
    )


def test_a_value_that_the_others_do_not_lead_one_to_expect_has_a_large_error():
    def correlated(n: int, seed: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        common = torch.randn(n, 1, generator=generator)
        return common + 0.1 * torch.randn(n, 4, generator=generator)

    torch.manual_seed(0)
    network = MaskedAutoencoder(4, hidden_sizes=[16], latent_dim=4, norm="none")
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for step in range(150):
        optimizer.zero_grad()
        network.loss(correlated(64, step)).mean().backward()
        optimizer.step()
    network.eval()
    usual = correlated(200, 1000)
    odd = usual.clone()
    odd[:, 2] = -odd[:, 2].sign() * 1.5  # as large as others are, with the other sign
    with torch.inference_mode():
        errors, odd_errors = network.residuals(usual).square(), network.residuals(odd).square()
    assert errors.mean() < 0.1
    assert odd_errors[:, 2].median() > 20 * errors[:, 2].median()


@pytest.mark.parametrize("groups", [GROUPS, None])
def test_the_weights_of_a_masked_autoencoder_hold_its_masks(groups):
    network, other = masked(groups=groups).eval(), masked(seed=1, groups=groups).eval()
    assert not torch.equal(network.masks, other.masks)
    other.load_state_dict(network.state_dict())
    assert torch.equal(network.residuals(rows()), other.residuals(rows()))


def test_a_single_feature_can_be_masked():
    network = MaskedAutoencoder(3, groups=[0, 0, 0], hidden_sizes=[4]).eval()
    assert network.residuals(torch.randn(5, 3)).isfinite().all()
