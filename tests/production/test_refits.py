"""Fits on other rows come out the same, however many of them share a loop."""

import numpy as np
import pytest
import torch

from fraud_ae.experiments.identity import production_identity
from fraud_ae.experiments.run_store import Run
from fraud_ae.production.plan import Plan
from fraud_ae.production.refits import Refits
from fraud_ae.runtime.workers.local import LocalWorkers
from fraud_ae.scorers.reconstruction import ReconstructionScorer

RATES = [0.005, 0.005, 0.001]


class OneAfterAnother(LocalWorkers):
    """As many workers as fits, all of them this process."""

    def submit(self, function, *arguments):
        return LocalWorkers(1).submit(function, *arguments)


@pytest.fixture
def refits(compose, dataset, finished_run, tmp_path):
    def made(workers: LocalWorkers, *overrides: str) -> list:
        config = compose("features=combined", *overrides)
        identity = production_identity(finished_run.identity, "train+validation", workers.count)
        run = Run(tmp_path, identity)
        run.start()
        plan = Plan(
            winner=finished_run,
            run=run,
            strategy=config.strategy,
            encoder=config.encoder,
            recipe=config.recipe,
            fit_on="all",
            folds=3,
            keep_history=True,
            computation=config.computation,
            experiment="small",
            configuration={},
        )
        scorer = ReconstructionScorer()
        rows = np.arange(len(dataset.transactions)) < 2000
        # Of different lengths, so that the fits see different numbers of rows.
        parts = [np.arange(1500, 1600), np.arange(1600, 1800), np.arange(1800, 2000)]
        found = Refits(plan, dataset, RATES, scorer, workers).run(rows, parts)
        assert not list(run.folder.glob(".refit.*"))
        return found

    return made


@pytest.mark.parametrize("model", ["autoencoder", "variational"])
def test_fits_in_one_loop_are_those_alone(refits, model):
    (whole, curve, steps), *scores = refits(LocalWorkers(1), f"model={model}")
    alone = refits(OneAfterAnother(4), f"model={model}")
    (expected, expected_curve, expected_steps), *expected_scores = alone
    assert steps == expected_steps
    for name in ("train_loss", "learning_rate"):
        ours, theirs = ([row[name] for row in each] for each in (curve, expected_curve))
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    for name, weight in expected.network.state_dict().items():
        torch.testing.assert_close(whole.network.state_dict()[name], weight, rtol=1e-4, atol=1e-5)
    assert [len(each) for each in scores] == [100, 200, 200]
    for ours, theirs in zip(scores, expected_scores, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3)
