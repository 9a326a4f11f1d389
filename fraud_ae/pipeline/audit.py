"""The leakage audit of what a configuration asks for, printed as a report, and kept."""

import textwrap

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from fraud_ae.audit.leakage import Finding, audit
from fraud_ae.audit.stored import keep_audit
from fraud_ae.configuration.build import dataset_of, experiment_folder, split_of, strategy_of
from fraud_ae.errors import UserError
from fraud_ae.experiments.run_store import features_identity
from fraud_ae.pipeline.stages import usable_strategies

_WIDTH = 80


def audit_strategy(config: dict) -> None:
    """Audit the strategy of a resolved configuration, print a line for each check and keep them.

    Raises UserError naming the features that leak, and where a sweep is asked for.
    """
    if HydraConfig.get().mode == RunMode.MULTIRUN:
        raise UserError(
            "audit=true with -m: an audit is no sweep; python pipeline.py audit=true audits every "
            "strategy, python train.py audit=true features=NAME one"
        )
    _audit_all({HydraConfig.get().runtime.choices["features"]: config})


def audit_strategies(settings: dict, overrides: list[str]) -> None:
    """Audit every strategy that the data have columns for, or the one that was chosen.

    settings: the resolved pipeline configuration. overrides: those of its command line.
    Raises UserError naming the strategies and their features that leak.
    """
    chosen = any(o.startswith("features=") for o in overrides)
    name = HydraConfig.get().runtime.choices["features"]
    _audit_all({name: settings} if chosen else usable_strategies(overrides))


def _audit_all(configs: dict[str, dict]) -> None:
    failed = {name: _failures(name, config) for name, config in configs.items()}
    lines = [
        f"  {name}: {', '.join(features or checks)}"
        for name, (features, checks) in failed.items()
        if checks
    ]
    if lines:
        if any("single feature" in checks for _, checks in failed.values()):
            lines.append("a feature that may tell fraud alone: 'allow_features=[NAME]'")
        raise UserError("\n".join(["the audit found leaks", *lines]))


def _failures(name: str, config: dict) -> tuple[list[str], list[str]]:
    """The features that leak, each once, and the checks that failed."""
    dataset = dataset_of(config)
    split = split_of(config, dataset)
    rows = int(split.before_test(dataset.transactions).sum())
    print(f"audit of {name}: {rows:,} transactions before the test period", flush=True)
    findings = audit(
        strategy_of(config, dataset),
        dataset.transactions,
        split,
        label_delay_days=config["data"]["split"]["label_delay_days"],
        allowed=config["allow_features"],
        seed=config["seed"],
        report=_print,
    )
    identity = features_identity(config, dataset.fingerprint)
    keep_audit(experiment_folder(config), name, identity, findings)
    failed = [finding for finding in findings if not finding.passed]
    features = dict.fromkeys(feature for finding in failed for feature in finding.features)
    return list(features), [finding.check for finding in failed]


def _print(finding: Finding) -> None:
    result = "passed" if finding.passed else "FAILED"
    text = f"  {result}  {finding.check}: {finding.detail}"
    shown = textwrap.wrap(text, _WIDTH, subsequent_indent=" " * 10, break_on_hyphens=False)
    print("\n".join(shown), flush=True)
