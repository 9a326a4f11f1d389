import itertools

import pytest
import torch

from fraud_ae.models.network import ACTIVATIONS, Autoencoder, VariationalAutoencoder

N_INPUTS = 7


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """Threads cost far more than they gain on so few rows."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def rows(n: int = 12, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, N_INPUTS, generator=torch.Generator().manual_seed(seed))


def seeded(cls=Autoencoder, **settings) -> Autoencoder:
    torch.manual_seed(0)
    return cls(N_INPUTS, **settings)


@pytest.mark.parametrize("cls", [Autoencoder, VariationalAutoencoder])
@pytest.mark.parametrize(
    ("activation", "norm", "dropout"),
    list(itertools.product(ACTIVATIONS, ["none", "batch", "layer"], [0.0, 0.3])),
)
def test_reconstructions_have_the_shape_of_the_inputs(cls, activation, norm, dropout):
    network = seeded(cls, activation=activation, norm=norm, dropout=dropout, latent_dim=3)
    assert network(rows()).shape == (12, N_INPUTS)
    assert network.loss(rows()).shape == ()
    assert network.loss(rows()).isfinite()
    assert network.eval()(rows(1)).shape == (1, N_INPUTS)


@pytest.mark.parametrize("cls", [Autoencoder, VariationalAutoencoder])
@pytest.mark.parametrize("latent_dim", [1, 5, 20])
@pytest.mark.parametrize("hidden_sizes", [[], [6], [9, 4]])
def test_the_code_has_the_latent_size(cls, latent_dim, hidden_sizes):
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
    found = {name: seeded(activation=name)(rows()) for name in ACTIVATIONS}
    for one, other in itertools.combinations(found, 2):
        assert not torch.equal(found[one], found[other])


def test_dropout_acts_in_training_alone():
    network = seeded(dropout=0.5)
    assert not torch.equal(network(rows()), network(rows()))
    network.eval()
    assert torch.equal(network(rows()), network(rows()))


def test_the_loss_is_the_mean_squared_reconstruction_error():
    network = seeded()
    error = (network(rows()) - rows()).square().mean()
    torch.testing.assert_close(network.loss(rows()), error)


def test_noise_is_added_to_the_inputs_in_training_alone():
    plain, noisy = seeded(), seeded(input_noise=0.5)
    torch.manual_seed(1)
    assert noisy.loss(rows()) != noisy.loss(rows())
    assert torch.equal(noisy(rows()), plain(rows()))
    noisy.eval()
    assert noisy.loss(rows()) == plain.loss(rows())


def test_a_denoising_autoencoder_is_to_reconstruct_the_clean_inputs():
    class Constant(Autoencoder):
        def encode(self, inputs):
            return super().encode(torch.zeros_like(inputs))

    network = seeded(Constant, input_noise=5.0)
    # What is reconstructed depends on nothing, so that a noisy target alone would show.
    assert network.loss(rows()) == network.loss(rows())


def test_a_variational_autoencoder_varies_in_training_alone():
    network = seeded(VariationalAutoencoder)
    assert network.loss(rows()) != network.loss(rows())
    assert torch.equal(network(rows()), network(rows()))
    network.eval()
    assert network.loss(rows()) == network.loss(rows())


def test_kl_weight_adds_that_much_divergence_to_the_loss():
    losses = {w: seeded(VariationalAutoencoder, kl_weight=w).eval().loss(rows()) for w in (0, 1, 2)}
    assert losses[1] > losses[0]
    torch.testing.assert_close(losses[2] - losses[0], 2 * (losses[1] - losses[0]))


def test_a_standard_normal_code_has_no_divergence():
    network = seeded(VariationalAutoencoder, kl_weight=10.0).eval()
    torch.nn.init.zeros_(network.encoder[-1].weight)
    torch.nn.init.zeros_(network.encoder[-1].bias)  # mean 0, log variance 0
    error = (network(rows()) - rows()).square().mean()
    torch.testing.assert_close(network.loss(rows()), error)


def test_wild_inputs_do_not_overflow_a_variational_loss():
    assert seeded(VariationalAutoencoder).loss(1e4 * rows()).isfinite()
