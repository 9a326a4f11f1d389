"""Autoencoder networks: plain PyTorch, without training logic."""

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

ACTIVATIONS = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "tanh": nn.Tanh,
    "silu": nn.SiLU,
}
NORMS = {"batch": nn.BatchNorm1d, "layer": nn.LayerNorm}


def _hidden_layers(sizes: list[int], activation: str, norm: str, dropout: float) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for n_in, n_out in itertools.pairwise(sizes):
        layers.append(nn.Linear(n_in, n_out))
        if norm != "none":
            layers.append(NORMS[norm](n_out))
        layers.append(ACTIVATIONS[activation]())
        if dropout:
            layers.append(nn.Dropout(dropout))
    return layers


class Autoencoder(nn.Module):
    """Symmetric feed-forward autoencoder (Hinton and Salakhutdinov, Science 313, 2006).

    inputs -> hidden_sizes -> latent_dim -> reversed hidden_sizes -> inputs. With `input_noise`
    above 0 it is a denoising autoencoder (Vincent et al., ICML 2008): in training, Gaussian noise
    of that standard deviation is added to the inputs and the clean ones are to be reconstructed.

    n_inputs: number of encoded features. hidden_sizes: widths of the encoder's hidden layers.
    activation: one of relu, leaky_relu, tanh, silu. norm: none, batch or layer.
    """

    def __init__(
        self,
        n_inputs: int,
        hidden_sizes: list[int] = (64, 32),
        latent_dim: int = 16,
        activation: str = "relu",
        norm: str = "none",
        dropout: float = 0.0,
        input_noise: float = 0.0,
    ) -> None:
        super().__init__()
        self.input_noise = input_noise
        widths = [n_inputs, *hidden_sizes]
        self.encoder = nn.Sequential(
            *_hidden_layers(widths, activation, norm, dropout),
            nn.Linear(widths[-1], self._code_size(latent_dim)),
        )
        self.decoder = nn.Sequential(
            *_hidden_layers([latent_dim, *widths[:0:-1]], activation, norm, dropout),
            nn.Linear(widths[1] if hidden_sizes else latent_dim, n_inputs),
        )

    @staticmethod
    def _code_size(latent_dim: int) -> int:
        return latent_dim

    def encode(self, inputs: Tensor) -> Tensor:
        """Latent code. (n, n_inputs) float32 -> (n, latent_dim) float32."""
        return self.encoder(inputs)

    def forward(self, inputs: Tensor) -> Tensor:
        """Reconstruction without noise. (n, n_inputs) float32 -> (n, n_inputs) float32."""
        return self.decoder(self.encode(inputs))

    def loss(self, inputs: Tensor) -> Tensor:
        """Mean squared reconstruction error of a batch, a scalar."""
        return F.mse_loss(self.decoder(self.encode(self._noisy(inputs))), inputs)

    def _noisy(self, inputs: Tensor) -> Tensor:
        if self.training and self.input_noise:
            return inputs + self.input_noise * torch.randn_like(inputs)
        return inputs


class VariationalAutoencoder(Autoencoder):
    """Autoencoder with a Gaussian latent code (Kingma and Welling, ICLR 2014).

    The loss is the reconstruction error plus `kl_weight` times the Kullback-Leibler divergence of
    the code from a standard normal, both means over inputs and latent dimensions (beta-VAE,
    Higgins et al., ICLR 2017). Scores use the mean of the code, so they do not vary between calls.
    """

    def __init__(self, n_inputs: int, kl_weight: float = 0.01, **autoencoder: object) -> None:
        super().__init__(n_inputs, **autoencoder)
        self.kl_weight = kl_weight

    @staticmethod
    def _code_size(latent_dim: int) -> int:
        return 2 * latent_dim

    def encode(self, inputs: Tensor) -> Tensor:
        """Mean of the latent code. (n, n_inputs) float32 -> (n, latent_dim) float32."""
        return self.encoder(inputs).chunk(2, dim=1)[0]

    def loss(self, inputs: Tensor) -> Tensor:
        """Reconstruction error plus weighted divergence of a batch, a scalar."""
        mean, log_variance = self.encoder(self._noisy(inputs)).chunk(2, dim=1)
        # exp() of an early, wild layer output would overflow.
        log_variance = log_variance.clamp(-10, 10)
        code = mean
        if self.training:
            code = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        divergence = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).mean()
        return F.mse_loss(self.decoder(code), inputs) + self.kl_weight * divergence
