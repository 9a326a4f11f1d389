"""What an ONNX file computes, as a module of PyTorch: from features to scores, in float64.

Everything that the encoder, network and scorer of a detector do, in operations that ONNX Runtime
has for float64. What is float32 in a detector is float32 here: inputs, and the evidence of trees.
Constants are buffers, as a number in an expression may become a float32 of the graph.
"""

import copy
import json

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from fraud_ae.detector.detector import FraudDetector
from fraud_ae.detector.onnx.quantiles import Constants, QuantileScaling, constant
from fraud_ae.errors import UserError
from fraud_ae.features.encoder import HIGHEST, Encoder
from fraud_ae.runtime.named_objects import class_path
from fraud_ae.scorers.calibrated import CalibratedScorer
from fraud_ae.scorers.linear import LEAST_ERROR, RidgeOdds
from fraud_ae.scorers.mahalanobis import MahalanobisScorer
from fraud_ae.scorers.reconstruction import ReconstructionScorer
from fraud_ae.scorers.scorer import Scorer

_TREES = "TreeEnsembleRegressor"


class FeaturesToScore(nn.Module):
    """The scores of a detector.

    numbers (n, n_numeric) float64, NaN where missing, and categories (n, n_categories) int64, the
    positions of `category_codes`, both in the order of the encoder -> (n,) float32.
    Raises UserError for a scorer of another class than those of this package.
    """

    def __init__(self, detector: FraudDetector) -> None:
        super().__init__()
        self.encoder = _Encoding(detector.encoder)
        self.network = _in_plain_operations(detector.network)
        groups = np.array(detector.encoder.input_groups())
        self.register_buffer("belongs", constant(np.eye(groups.max() + 1)[groups]))
        self.scorer = _scoring(detector.scorer)

    def with_trees(self, model: onnx.ModelProto) -> onnx.ModelProto:
        """What an export made of this module, with the nodes of its trees.

        PyTorch prints all constants of a graph at each of its passes: with the nodes of trees
        among them an export takes minutes.
        """
        for node in model.graph.node:
            if node.op_type == _TREES:
                (trees,) = (part.trees for part in self.modules() if isinstance(part, _Trees))
                kept = [a for a in node.attribute if a.name not in trees]
                del node.attribute[:]
                node.attribute.extend(
                    kept + [onnx.helper.make_attribute(*a) for a in trees.items()]
                )
        return model

    def forward(self, numbers: Tensor, categories: Tensor) -> Tensor:
        inputs = self.encoder(numbers, categories)
        residuals, code = self.network.signals(inputs.double())
        errors = residuals.square() @ self.belongs
        return self.scorer(inputs, residuals, errors, code).float()


def _within(numbers: Tensor, bound: Tensor) -> Tensor:
    return torch.minimum(torch.maximum(numbers, -bound), bound)


class _Encoding(Constants):
    """`Encoder.transform`: (n, n_inputs) float32."""

    def __init__(self, encoder: Encoder) -> None:
        fill = [encoder.fill_[name] for name in encoder.numeric_]
        super().__init__(fill=fill, bound=encoder.bound, highest=HIGHEST)
        self.sizes = [len(values) for values in encoder.categories_.values()]
        self.indicators = [encoder.numeric_.index(name) for name in encoder.indicators_]
        self.scaling = _scaling(encoder) if encoder.numeric_ else None
        for number, size in enumerate(self.sizes):
            self.register_buffer(f"codes_{number}", torch.arange(size))

    def forward(self, numbers: Tensor, categories: Tensor) -> Tensor:
        parts = []
        if self.scaling is not None:
            missing = numbers.isnan()
            filled = torch.where(missing, self.fill, numbers)
            scaled = self.scaling(_within(filled, self.highest))
            scaled = _within(scaled, self.bound)
            parts = [scaled.float(), *(missing[:, [i]].float() for i in self.indicators)]
        for number in range(len(self.sizes)):
            known = getattr(self, f"codes_{number}")
            parts.append((categories[:, number : number + 1] == known).float())
        return torch.cat(parts, dim=1)


class _Linear(Constants):
    """Scaling by a `middle` and a `width`."""

    def forward(self, numbers: Tensor) -> Tensor:
        return (numbers - self.middle) / self.width


def _scaling(encoder: Encoder) -> nn.Module:
    learned = {name: np.asarray(values) for name, values in encoder.to_dict()["scaler"].items()}
    if encoder.scaling == "quantile":
        return QuantileScaling(learned["quantiles_"], learned["references_"])
    middle = learned["mean_" if encoder.scaling == "standard" else "center_"]
    return _Linear(middle=middle, width=learned["scale_"])


class _Reconstruction(Constants):
    """`ReconstructionScorer.score`."""

    def __init__(self, scorer: ReconstructionScorer) -> None:
        super().__init__(scale=scorer.scale_, cap=scorer.cap)

    def forward(self, inputs: Tensor, residuals: Tensor, errors: Tensor, code: Tensor) -> Tensor:
        shares = errors / self.scale
        if self.cap is not None:
            shares = torch.minimum(shares, self.cap)
        return shares.mean(dim=1)


class _Mahalanobis(Constants):
    """`MahalanobisScorer.score`."""

    def __init__(self, scorer: MahalanobisScorer) -> None:
        super().__init__(mean=scorer.mean_, whitening=scorer.whitening_)

    def forward(self, inputs: Tensor, residuals: Tensor, errors: Tensor, code: Tensor) -> Tensor:
        values = torch.cat([residuals, code], dim=1) - self.mean
        return (values @ self.whitening).square().sum(dim=1)


class _Ridge(Constants):
    """`RidgeOdds.log_odds`."""

    def __init__(self, ridge: RidgeOdds) -> None:
        super().__init__(weights=ridge.weights, intercept=ridge.intercept, least_error=LEAST_ERROR)
        self.reconstruction = _Reconstruction(ridge.reconstruction)
        self.distance = _Mahalanobis(ridge.distance)

    def forward(self, inputs: Tensor, residuals: Tensor, errors: Tensor, code: Tensor) -> Tensor:
        signals = (inputs, residuals, errors, code)
        scores = torch.stack([self.reconstruction(*signals), self.distance(*signals)], dim=1)
        logs = [(values + self.least_error).log() for values in (errors, scores)]
        return torch.cat([inputs.double(), *logs], dim=1) @ self.weights + self.intercept


class _Trees(Constants):
    """The mean log odds of a calibrated scorer's trees, of which `with_trees` writes the nodes."""

    def __init__(self, scorer: CalibratedScorer) -> None:
        super().__init__(least_error=LEAST_ERROR, shift=np.log(scorer.thinned_by_))
        self.trees = _tree_attributes([json.loads(t.save_raw("json")) for t in scorer.trees_])

    def forward(self, inputs: Tensor, errors: Tensor, code: Tensor) -> Tensor:
        errors = (errors + self.least_error).log()
        evidence = torch.cat([inputs, errors.float(), code.float()], dim=1)
        odds = torch.onnx.ops.symbolic(
            f"ai.onnx.ml::{_TREES}",
            (evidence,),
            {"n_targets": self.trees["n_targets"]},
            dtype=torch.float32,
            shape=(evidence.shape[0], self.trees["n_targets"]),
            version=3,
        )
        return odds.double().mean(dim=1) - self.shift


class _Calibrated(Constants):
    """`CalibratedScorer.score`, where it learned from labels."""

    def __init__(self, scorer: CalibratedScorer) -> None:
        slope, intercept = scorer.curve_
        of_trees = scorer.trees_share_
        super().__init__(slope=slope, intercept=intercept, of_ridge=1 - of_trees, of_trees=of_trees)
        self.ridge = _Ridge(scorer.ridge_)
        self.trees = _Trees(scorer) if scorer.trees_ else None

    def forward(self, inputs: Tensor, residuals: Tensor, errors: Tensor, code: Tensor) -> Tensor:
        odds = self.ridge(inputs, residuals, errors, code)
        if self.trees is not None:
            odds = self.of_ridge * odds + self.of_trees * self.trees(inputs, errors, code)
        return (self.slope * odds + self.intercept).sigmoid()


def _scoring(scorer: Scorer) -> nn.Module:
    if isinstance(scorer, CalibratedScorer):
        scorer = scorer.fallback_scorer_ or scorer
    kinds = {
        ReconstructionScorer: _Reconstruction,
        MahalanobisScorer: _Mahalanobis,
        CalibratedScorer: _Calibrated,
    }
    if type(scorer) not in kinds:
        known = ", ".join(kind.__name__ for kind in kinds)
        raise UserError(f"scorer {class_path(scorer)}: ONNX files can hold {known} alone")
    return kinds[type(scorer)](scorer)


def _tree_attributes(boosters: list[dict]) -> dict:
    """Boosters in XGBoost's JSON as one TreeEnsembleRegressor, with a target for each.

    ONNX has for every node: which tree, its number there, the column, the value that a smaller one
    goes left of, and where to. Evidence is never missing.
    """
    nodes = {name: [] for name in _NODES}
    leaves = {name: [] for name in ("treeids", "nodeids", "ids", "weights")}
    base, n_trees = [], 0
    for target, booster in enumerate(boosters):
        learner = booster["learner"]
        share = float(learner["learner_model_param"]["base_score"].strip("[]"))
        base.append(float(np.log(share) - np.log1p(-share)))
        for tree in learner["gradient_booster"]["model"]["trees"]:
            left = tree["left_children"]
            is_leaf = [child == -1 for child in left]
            buffers = {
                "treeids": [n_trees] * len(left),
                "nodeids": range(len(left)),
                "featureids": tree["split_indices"],
                "values": tree["split_conditions"],
                "modes": ["LEAF" if leaf else "BRANCH_LT" for leaf in is_leaf],
                "truenodeids": [max(child, 0) for child in left],
                "falsenodeids": [max(child, 0) for child in tree["right_children"]],
            }
            for name, values in buffers.items():
                nodes[name] += values
            for number in np.flatnonzero(is_leaf).tolist():
                leaves["treeids"].append(n_trees)
                leaves["nodeids"].append(number)
                leaves["ids"].append(target)
                # Of a leaf, XGBoost keeps its value where others have their split.
                leaves["weights"].append(tree["split_conditions"][number])
            n_trees += 1
    return {
        "n_targets": len(boosters),
        "base_values": base,
        **{f"nodes_{name}": values for name, values in nodes.items()},
        **{f"target_{name}": values for name, values in leaves.items()},
    }


_NODES = ("treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids")


class _LayerNorm(Constants):
    """Of the last dimension. The one of ONNX keeps its epsilon as a float32."""

    def __init__(self, layer: nn.LayerNorm) -> None:
        super().__init__(epsilon=layer.eps)
        self.weight, self.bias = layer.weight, layer.bias

    def forward(self, values: Tensor) -> Tensor:
        centred = values - values.mean(dim=-1, keepdim=True)
        variance = centred.square().mean(dim=-1, keepdim=True)
        return centred / (variance + self.epsilon).sqrt() * self.weight + self.bias


class _LeakyReLU(Constants):
    """ONNX Runtime has none for float64."""

    def __init__(self, layer: nn.LeakyReLU) -> None:
        super().__init__(slope=layer.negative_slope)

    def forward(self, values: Tensor) -> Tensor:
        return torch.where(values > 0, values, values * self.slope)


class _BatchNorm(nn.Module):
    """With the statistics that it has learned. The one of ONNX keeps its epsilon as a float32."""

    def __init__(self, layer: nn.BatchNorm1d) -> None:
        super().__init__()
        slope = layer.weight.detach() / (layer.running_var + layer.eps).sqrt()
        self.register_buffer("slope", slope)
        self.register_buffer("shift", layer.bias.detach() - layer.running_mean * slope)

    def forward(self, values: Tensor) -> Tensor:
        return values * self.slope + self.shift


_PLAIN = {nn.LayerNorm: _LayerNorm, nn.LeakyReLU: _LeakyReLU, nn.BatchNorm1d: _BatchNorm}


def _in_plain_operations(network: nn.Module) -> nn.Module:
    network = copy.deepcopy(network)
    for module in list(network.modules()):
        for name, layer in list(module.named_children()):
            if type(layer) in _PLAIN:
                setattr(module, name, _PLAIN[type(layer)](layer))
    return network
