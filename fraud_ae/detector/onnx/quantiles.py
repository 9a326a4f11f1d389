"""The quantile scaling of scikit-learn in operations of ONNX."""

import numpy as np
import torch
from scipy.stats import norm
from torch import Tensor, nn

# scikit-learn takes what comes this near to the first or last quantile for the end itself.
_NEAR_THE_END = 1e-7
# Wichura, "Algorithm AS 241", Applied Statistics 37, 1988, PPND16: numerator and denominator in the
# middle, in the tail and far out, a line for each power, from the highest down.
_MIDDLE = (
    (2.5090809287301226727e3, 5.2264952788528545610e3),
    (3.3430575583588128105e4, 2.8729085735721942674e4),
    (6.7265770927008700853e4, 3.9307895800092710610e4),
    (4.5921953931549871457e4, 2.1213794301586595867e4),
    (1.3731693765509461125e4, 5.3941960214247511077e3),
    (1.9715909503065514427e3, 6.8718700749205790830e2),
    (1.3314166789178437745e2, 4.2313330701600911252e1),
    (3.3871328727963666080e0, 1.0),
)
_TAIL = (
    (7.74545014278341407640e-4, 1.05075007164441684324e-9),
    (2.27238449892691845833e-2, 5.47593808499534494600e-4),
    (2.41780725177450611770e-1, 1.51986665636164571966e-2),
    (1.27045825245236838258e0, 1.48103976427480074590e-1),
    (3.64784832476320460504e0, 6.89767334985100004550e-1),
    (5.76949722146069140550e0, 1.67638483018380384940e0),
    (4.63033784615654529590e0, 2.05319162663775882187e0),
    (1.42343711074968357734e0, 1.0),
)
_FAR = (
    (2.01033439929228813265e-7, 2.04426310338993978564e-15),
    (2.71155556874348757815e-5, 1.42151175831644588870e-7),
    (1.24266094738807843860e-3, 1.84631831751005468180e-5),
    (2.65321895265761230930e-2, 7.86869131145613259100e-4),
    (2.96560571828504891230e-1, 1.48753612908506148525e-2),
    (1.78482653991729133580e0, 1.36929880922735805310e-1),
    (5.46378491116411436990e0, 5.99832206555887937690e-1),
    (6.65790464350110377720e0, 1.0),
)


def constant(values: object) -> Tensor:
    """A tensor of float64, of numbers of any shape."""
    return torch.as_tensor(np.asarray(values, dtype=np.float64))


class Constants(nn.Module):
    """A module whose named numbers are buffers in float64; None stays None."""

    def __init__(self, **values: object) -> None:
        super().__init__()
        for name, value in values.items():
            self.register_buffer(name, None if value is None else constant(value))


class QuantileScaling(Constants):
    """`QuantileTransformer(output_distribution="normal")`: (n, d) float64 -> (n, d) float64.

    quantiles: (n_quantiles, d), each column in order. references: (n_quantiles,), the shares of the
    training rows below them.
    """

    def __init__(self, quantiles: np.ndarray, references: np.ndarray) -> None:
        least = _NEAR_THE_END - np.spacing(1)
        super().__init__(
            # Each column after the other, so that one index says which value of which column.
            quantiles=quantiles.T.flatten(),
            references=references,
            low=quantiles[0],
            high=quantiles[-1],
            near=_NEAR_THE_END,
            least=least,
            most=1 - least,
            lowest=norm.ppf(least),
            highest=norm.ppf(1 - least),
            centre=0.5,
            one=1.0,
            middle=0.425,
            middle_square=0.180625,
            tail=1.6,
            far=5.0,
            tiny=np.finfo(np.float64).tiny,
            coefficients=np.array([_MIDDLE, _TAIL, _FAR]).swapaxes(1, 2),
        )
        self.count, columns = quantiles.shape
        self.steps = [1 << power for power in reversed(range(self.count.bit_length()))]
        self.register_buffer("first", torch.arange(columns) * self.count)

    def forward(self, values: Tensor) -> Tensor:
        upwards = self._interpolated(values, self._count(values, or_equal=True) - 1, 1)
        downwards = self._interpolated(values, self._count(values, or_equal=False), -1)
        share = (upwards + downwards) * self.centre
        share = torch.where(values + self.near > self.high, self.most, share)
        share = torch.where(values - self.near < self.low, self.least, share)
        normal = self._normal(torch.minimum(torch.maximum(share, self.least), self.most))
        return torch.minimum(torch.maximum(normal, self.lowest), self.highest)

    def _count(self, values: Tensor, or_equal: bool) -> Tensor:
        """How many quantiles of its column are below each value, by bisection: (n, d) int64."""
        count = torch.zeros_like(values, dtype=torch.int64)
        for step in self.steps:
            more = count + step
            last = self.quantiles[self.first + (more - 1).clamp(max=self.count - 1)]
            below = last <= values if or_equal else last < values
            count = torch.where(below & (more <= self.count), more, count)
        return count

    def _interpolated(self, values: Tensor, at: Tensor, towards: int) -> Tensor:
        """From the quantile at a position towards the one after or before it, as `np.interp`."""
        at = at.clamp(0, self.count - 1)
        beside = (at + towards).clamp(0, self.count - 1)
        start, end = self.quantiles[self.first + at], self.quantiles[self.first + beside]
        low, high = self.references[at], self.references[beside]
        width = torch.where(end == start, self.one, end - start)
        return (high - low) / width * (values - start) + low

    def _normal(self, share: Tensor) -> Tensor:
        """The value of a standard normal below which a share lies."""
        off = share - self.centre
        square = self.middle_square - off.square()
        middle = off * self._ratio(0, square)
        # Of no use in the middle, where it must not become NaN either.
        least = torch.maximum(torch.minimum(share, self.one - share), self.tiny)
        root = (-least.log()).sqrt()
        tail = self._ratio(1, root - self.tail)
        far = self._ratio(2, root - self.far)
        outer = off.sign() * torch.where(root <= self.far, tail, far)
        return torch.where(off.abs() <= self.middle, middle, outer)

    def _ratio(self, part: int, values: Tensor) -> Tensor:
        above, below = self.coefficients[part]
        return _polynomial(above, values) / _polynomial(below, values)


def _polynomial(coefficients: Tensor, values: Tensor) -> Tensor:
    total = coefficients[0]
    for power in range(1, len(coefficients)):
        total = total * values + coefficients[power]
    return total
