"""Reading `model_info.yaml`, which says what the model for production is and what it reached."""


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
