import pytest
import torch

from fraud_ae.models.ensemble import Ensemble
from fraud_ae.models.network import Autoencoder
from fraud_ae.models.persistence import build_network
from fraud_ae.models.settings import TrainerSettings
from fraud_ae.models.training import Rows, Training, train_network

N_INPUTS = 6
SETTINGS = {"n_inputs": N_INPUTS, "hidden_sizes": [8], "latent_dim": 2}
KINDS = {
    "plain": {"class": "fraud_ae.models.network.Autoencoder"},
    "variational": {"class": "fraud_ae.models.network.VariationalAutoencoder"},
    "masked": {
        "class": "fraud_ae.models.network.MaskedAutoencoder",
        "groups": [0, 1, 2, 2, 3, 3],
    },
}


def rows(n: int = 100, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    plane = torch.randn(2, N_INPUTS, generator=torch.Generator().manual_seed(99))
    return torch.randn(n, 2, generator=generator) @ plane


def ensemble(kind: str = "plain", members: int = 3) -> torch.nn.Module:
    torch.manual_seed(0)
    return build_network({**SETTINGS, **KINDS[kind], "members": members})


@pytest.fixture(params=KINDS)
def kind(request) -> str:
    return request.param


@pytest.fixture
def network(kind) -> Ensemble:
    return ensemble(kind).eval()


def test_one_member_is_the_network_itself():
    assert type(ensemble(members=1)) is Autoencoder
    assert isinstance(ensemble(members=2), Ensemble)


def test_members_are_of_the_kind_and_number_that_was_asked_for(network):
    assert len(network.members) == 3
    assert len({type(member) for member in network.members}) == 1
    assert {member.decoder[-1].out_features for member in network.members} == {N_INPUTS}


def test_members_differ_in_their_first_weights(network):
    one, other, third = (member.residuals(rows()) for member in network.members)
    assert not torch.allclose(one, other)
    assert not torch.allclose(other, third)


def test_squared_residuals_are_the_mean_of_the_members(network):
    squared = sum(member.residuals(rows()).square() for member in network.members) / 3
    torch.testing.assert_close(network.residuals(rows()).square(), squared)


def test_residuals_have_the_sign_of_their_mean(network):
    mean = sum(member.residuals(rows()) for member in network.members) / 3
    assert torch.equal(network.residuals(rows()).sign(), mean.sign())


def test_codes_stand_side_by_side(network):
    code = network.encode(rows())
    assert code.shape == (100, 3 * 2)
    for number, member in enumerate(network.members):
        torch.testing.assert_close(code[:, 2 * number : 2 * number + 2], member.encode(rows()))


def test_the_loss_is_the_mean_of_the_members(network):
    expected = sum(member.loss(rows()) for member in network.members) / 3
    torch.testing.assert_close(network.loss(rows()), expected)


def test_members_do_not_influence_one_another():
    def gradients(network: Ensemble) -> list[torch.Tensor]:
        network.zero_grad()
        network.loss(rows()).backward()
        return [parameter.grad.clone() for parameter in network.members[0].parameters()]

    network = ensemble()
    before = gradients(network)
    network.members[1].load_state_dict(ensemble(members=4).members[3].state_dict())
    for one, other in zip(gradients(network), before, strict=True):
        torch.testing.assert_close(one, other)


def test_all_members_are_trained_and_a_seed_repeats_them(kind):
    settings = TrainerSettings(max_epochs=5, batch_size=16, learning_rate=0.01, accelerator="cpu")

    def build(n_inputs: int) -> torch.nn.Module:
        return build_network({**SETTINGS, **KINDS[kind], "members": 2})

    trained = train_network(Training(build, settings, 0), Rows(rows()), Rows(rows(seed=1)))
    torch.manual_seed(0)
    first = build(N_INPUTS).eval()
    for member, before in zip(trained.network.members, first.members, strict=True):
        assert member.loss(rows(seed=1)) < 0.8 * before.loss(rows(seed=1))
    one, other = (member.residuals(rows()) for member in trained.network.members)
    assert not torch.allclose(one, other, atol=1e-3)
    again = train_network(Training(build, settings, 0), Rows(rows()), Rows(rows(seed=1))).network
    assert torch.equal(again.residuals(rows()), trained.network.residuals(rows()))


def test_the_weights_hold_every_member(network, kind):
    torch.manual_seed(1)
    other = build_network({**SETTINGS, **KINDS[kind], "members": 3}).eval()
    assert not torch.equal(other.residuals(rows()), network.residuals(rows()))
    other.load_state_dict(network.state_dict())
    assert torch.equal(other.residuals(rows()), network.residuals(rows()))
