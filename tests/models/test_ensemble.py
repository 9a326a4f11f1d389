import pytest
import torch

from fraud_ae.models.batches import Rows
from fraud_ae.models.ensemble import Ensemble
from fraud_ae.models.network import Autoencoder
from fraud_ae.models.persistence import build_network
from fraud_ae.models.training import Training, train_network
from tests.models.training_data import changed, rows

SETTINGS = {"n_inputs": 6, "hidden_sizes": [8], "latent_dim": 2}
KINDS = {
    "Autoencoder": {},
    "VariationalAutoencoder": {},
    "MaskedAutoencoder": {"groups": [0, 1, 2, 2, 3, 3]},
}
ROWS = rows(100, 0, n_inputs=6)


def build(kind: str, members: int) -> torch.nn.Module:
    network = {"class": f"fraud_ae.models.network.{kind}", **KINDS[kind]}
    return build_network({**SETTINGS, **network, "members": members})


def test_one_member_is_the_network_itself():
    assert type(build("Autoencoder", 1)) is Autoencoder
    assert isinstance(build("Autoencoder", 2), Ensemble)


@pytest.mark.parametrize("kind", KINDS)
def test_signals_and_loss_are_made_of_those_of_the_members(kind):
    torch.manual_seed(0)
    network = build(kind, 3).eval()
    assert [type(member).__name__ for member in network.members] == [kind] * 3
    residuals, codes = zip(*(member.signals(ROWS) for member in network.members), strict=True)
    for one, other in ((0, 1), (1, 2)):
        assert not torch.allclose(residuals[one], residuals[other])
    together, code = network.signals(ROWS)
    torch.testing.assert_close(together.square(), torch.stack(residuals).square().mean(dim=0))
    assert torch.equal(together.sign(), torch.stack(residuals).mean(dim=0).sign())
    assert torch.equal(code, torch.cat(codes, dim=1))
    expected = sum(member.loss(ROWS).mean() for member in network.members) / 3
    torch.testing.assert_close(network.loss(ROWS).mean(), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_all_members_are_trained_and_a_seed_repeats_them(kind):
    settings = changed(max_epochs=5, batch_size=16, learning_rate=0.01)
    validation = rows(100, 1, n_inputs=6)

    def trained() -> Ensemble:
        training = Training(lambda n_inputs: build(kind, 2), settings, 0)
        return train_network(training, Rows(ROWS), Rows(validation)).network

    network = trained()
    torch.manual_seed(0)
    for member, before in zip(network.members, build(kind, 2).eval().members, strict=True):
        assert member.loss(validation).mean() < 0.8 * before.loss(validation).mean()
    one, other = (member.signals(ROWS)[0] for member in network.members)
    assert not torch.allclose(one, other, atol=1e-3)
    assert torch.equal(trained().signals(ROWS)[0], network.signals(ROWS)[0])
