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


def _row_errors(reconstruction: Tensor, inputs: Tensor) -> Tensor:
    return F.mse_loss(reconstruction, inputs, reduction="none").mean(dim=1)


class Autoencoder(nn.Module):
    """Symmetric feed-forward autoencoder (Hinton and Salakhutdinov, Science 313, 2006).

    inputs -> hidden_sizes -> latent_dim -> reversed hidden_sizes -> inputs. With `input_noise`
    above 0 it is a denoising autoencoder (Vincent et al., ICML 2008): in training, Gaussian noise
    of that standard deviation is added to the inputs and the clean ones are to be reconstructed.

    n_inputs: number of encoded features. hidden_sizes: widths of the encoder's hidden layers.
    activation: one of relu, leaky_relu, tanh, silu (Elfwing et al., 2018). norm: none, batch (Ioffe
    and Szegedy, ICML 2015) or layer (Ba et al., 2016).
    """

    # Numbers that enter the encoder for each input, and that leave it for each latent dimension.
    _ENTER, _LEAVE = 1, 1

    def __init__(
        self,
        n_inputs: int,
        hidden_sizes: list[int] = (64, 32),
        latent_dim: int = 16,
        activation: str = "silu",
        norm: str = "layer",
        dropout: float = 0.0,
        input_noise: float = 0.0,
    ) -> None:
        super().__init__()
        self.input_noise = input_noise
        widths = [self._ENTER * n_inputs, *hidden_sizes]
        self.encoder = nn.Sequential(
            *_hidden_layers(widths, activation, norm, dropout),
            nn.Linear(widths[-1], self._LEAVE * latent_dim),
        )
        self.decoder = nn.Sequential(
            *_hidden_layers([latent_dim, *widths[:0:-1]], activation, norm, dropout),
            nn.Linear(widths[1] if hidden_sizes else latent_dim, n_inputs),
        )

    def encode(self, inputs: Tensor) -> Tensor:
        """Latent code. (n, n_inputs) float32 -> (n, latent_dim) float32."""
        return self.encoder(inputs)

    def forward(self, inputs: Tensor) -> Tensor:
        """Reconstruction without noise. (n, n_inputs) float32 -> (n, n_inputs) float32."""
        return self.decoder(self.encode(inputs))

    def signals(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """What scores are made of: residuals (reconstruction minus input) and the latent code.

        (n, n_inputs) float32 -> (n, n_inputs) and (n, latent_dim) float32.
        """
        code = self.encode(inputs)
        return self.decoder(code) - inputs, code

    def loss(self, inputs: Tensor) -> Tensor:
        """Mean squared reconstruction error of each row, (n,); training lowers the mean."""
        return _row_errors(self.decoder(self.encode(self._noisy(inputs))), inputs)

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

    _LEAVE = 2

    def __init__(self, n_inputs: int, kl_weight: float = 0.01, **autoencoder: object) -> None:
        super().__init__(n_inputs, **autoencoder)
        self.kl_weight = kl_weight

    def encode(self, inputs: Tensor) -> Tensor:
        """Mean of the latent code. (n, n_inputs) float32 -> (n, latent_dim) float32."""
        return self.encoder(inputs).chunk(2, dim=1)[0]

    def loss(self, inputs: Tensor) -> Tensor:
        """Reconstruction error plus weighted divergence of each row, (n,)."""
        mean, log_variance = self.encoder(self._noisy(inputs)).chunk(2, dim=1)
        # exp() of an early, wild layer output would overflow.
        log_variance = log_variance.clamp(-10, 10)
        code = mean
        if self.training:
            code = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        divergence = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).mean(dim=1)
        return _row_errors(self.decoder(code), inputs) + self.kl_weight * divergence


class MaskedAutoencoder(Autoencoder):
    """Autoencoder that reconstructs hidden features from the others (Yin et al., ICLR 2024).

    In training a random part of the features is hidden from each row; what is to be reconstructed
    is mostly the hidden part. Scores come from several passes over fixed masks, which hide each
    feature once in each of `rounds`: a value that the other features do not lead one to expect has
    a large error. All inputs of a feature, such as its one-hot columns, are hidden together, and
    the mask is an input, too (He et al., CVPR 2022, mask for images).

    groups: for each input, the number of the feature that it belongs to, from 0 without gaps.
    mask_ratio: share of the features that is hidden, between 0 and 1. rounds: masks that hide all
    features once; more of them cost time and steady the scores.
    """

    _ENTER = 2
    # Reconstructing what is in plain sight is easy; it only keeps the code complete.
    _VISIBLE_WEIGHT = 0.1

    def __init__(
        self,
        n_inputs: int,
        groups: list[int] | None = None,
        mask_ratio: float = 0.3,
        rounds: int = 3,
        **autoencoder: object,
    ) -> None:
        super().__init__(n_inputs, **autoencoder)
        self.mask_ratio = mask_ratio
        groups = torch.arange(n_inputs) if groups is None else torch.tensor(groups)
        self.n_features = int(groups.max()) + 1
        self.register_buffer("groups", groups)
        # Part of the weights, so that a loaded model hides what the trained one did.
        self.register_buffer("masks", self._scoring_masks(rounds))

    def _scoring_masks(self, rounds: int) -> Tensor:
        """(n_masks, n_inputs) float32, 1 where hidden."""
        # At least two parts: with all features hidden at once nothing is left to go by.
        parts = min(self.n_features, max(2, round(1 / self.mask_ratio)))
        masks = []
        for _ in range(rounds):
            part = torch.randperm(self.n_features) % parts
            masks += [(part == number)[self.groups] for number in range(parts)]
        return torch.stack(masks).float()

    def encode(self, inputs: Tensor) -> Tensor:
        """Latent code with nothing hidden. (n, n_inputs) float32 -> (n, latent_dim) float32."""
        return self.encoder(torch.cat([inputs, torch.zeros_like(inputs)], dim=1))

    def residuals(self, inputs: Tensor) -> Tensor:
        """Reconstruction minus input over the passes that hid it. (n, n_inputs) -> (n, n_inputs).

        The root mean square of the passes, with the sign of their mean.
        """
        total, squares = torch.zeros_like(inputs), torch.zeros_like(inputs)
        for mask in self.masks:
            residual = (self._reconstruct(inputs, mask.expand_as(inputs)) - inputs) * mask
            total += residual
            squares += residual.square()
        return total.sign() * (squares / self.masks.sum(dim=0)).sqrt()

    def signals(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Residuals with features hidden, and the code with nothing hidden."""
        return self.residuals(inputs), self.encode(inputs)

    def loss(self, inputs: Tensor) -> Tensor:
        """Mean squared error, mostly of what is hidden, (n,); not random in evaluation."""
        if not self.training:
            return self.residuals(inputs).square().mean(dim=1)
        noisy = self._noisy(inputs)
        hidden = torch.rand(len(inputs), self.n_features, device=inputs.device) < self.mask_ratio
        mask = hidden[:, self.groups].float()
        error = (self._reconstruct(noisy, mask) - inputs).square()
        return (error * (mask + self._VISIBLE_WEIGHT)).mean(dim=1)

    def _reconstruct(self, inputs: Tensor, mask: Tensor) -> Tensor:
        return self.decoder(self.encoder(torch.cat([inputs * (1 - mask), mask], dim=1)))
