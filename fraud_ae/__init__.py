"""Fraud detection experiments with autoencoders: from a table of transactions to a detector."""

from importlib import import_module

__version__ = "0.1.0"

__all__ = ["FraudDetector", "__version__", "allow_modules"]


def __getattr__(name: str):
    # torch takes seconds to import, and most of this package does without it.
    if name == "FraudDetector":
        return import_module("fraud_ae.detector.detector").FraudDetector
    if name == "allow_modules":
        return import_module("fraud_ae.runtime.named_objects").allow_modules
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
