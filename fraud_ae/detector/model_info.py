"""Reading `model_info.yaml`, which says what the model for production is and what it reached."""

from collections.abc import Mapping
from pathlib import Path

from fraud_ae import __version__
from fraud_ae.detector.files import MODEL_FILES
from fraud_ae.detector.manifest import MANIFEST, check_manifest
from fraud_ae.errors import UserError
from fraud_ae.runtime.kept_files import parse_yaml, read_kept, warn_once

MODEL_INFO = "model_info.yaml"


def published_info(
    folder: Path, run_id: str, configuration: dict, origin: Mapping[str, str | None]
) -> dict | None:
    """What `model_info.yaml` says, if the model was made of this run with this configuration.

    folder: of the experiment. origin: what it has to say of where its winner comes from. None if it
    was not, or is not whole.
    """
    model = folder / "models" / "final_model"
    info = read_kept(folder / MODEL_INFO, parse_yaml)
    if info is None or not (model / MANIFEST).is_file():
        return None
    try:
        check_manifest(model, (*MODEL_FILES, MODEL_INFO))
    except UserError as error:
        # What it advises is done here.
        warn_once(f"{str(error).partition(';')[0]}; made again from its run")
        return None
    same = info["run_id"] == run_id and info["configuration"] == configuration
    same = same and origin.items() <= info["figures"]["winner"].items()
    return info if same and info["versions"]["fraud_ae"] == __version__ else None


def is_challenger(info: dict) -> bool:
    """Whether a model was made to be compared with another one, as `model_info.yaml` says."""
    return info["configuration"].get("production", {}).get("challenger", False)


def flat_metrics(figures: dict) -> dict:
    """The main figures of `model_info.yaml` under flat names, for the screen and for W&B."""
    winner, deployed = figures["winner"], figures["deployed"]
    test = dict(winner["test"])
    flat = {
        "final_auc": winner["validation"]["final_auc"],
        "test_auc": test.pop("test_auc"),
        "test_average_precision": test.pop("average_precision"),
        **test,
        "optimism": winner["optimism"]["final_auc"],
        "deployed_threshold": deployed["threshold"],
        "best_epoch": winner["best_epoch"],
        "feature_count": winner["feature_count"],
        "fraud_ratio": winner["fraud_ratio"],
    }
    if "test" in deployed:
        flat["deployed_alert_rate"] = deployed["test"]["alert_rate"]
    return flat
