"""Fraud detection experiments with autoencoders: from a table of transactions to a detector."""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("fraud_ae")
except PackageNotFoundError:  # a checkout that was not installed
    __version__ = "0.0.0"

__all__ = ["FraudDetector", "__version__"]


def __getattr__(name: str):
    # torch takes seconds to import, and most of this package does without it.
    if name == "FraudDetector":
        return import_module("fraud_ae.detector").FraudDetector
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
