"""Whether probabilities of fraud can be taken at their word."""

import pandas as pd

from fraud_ae.evaluation.labelled import labelled
from fraud_ae.evaluation.reliability import reliability_bins, reliability_figures

# All bins of so few frauds agree with nearly anything, and that speaks for no probability.
_LEAST_FRAUDS = 10


def reliability(scored: dict[str, pd.DataFrame]) -> dict | None:
    """Per part what was predicted and what happened, and what that says of the last part.

    scored: part -> scored frame, whose scores are probabilities. A part without both classes is
    left out, as it has no other curve either; None where no part is left.

    `parts`: part -> its `figures`, see `reliability_figures`, and its `bins`, see
    `reliability_bins`. `said_of`: the part that the verdict is about, test where there is one.
    `verdict`: True if all bins agree, False if one does not, None if there are too few frauds to
    tell. `example`: the bin to show for it, the farthest off of those that do not agree, or else
    the one of most frauds. `agreeing`: how many bins agree.
    """
    parts = {}
    for part, frame in scored.items():
        frame = labelled(frame)
        is_fraud, probabilities = frame["is_fraud"].to_numpy(), frame["score"].to_numpy()
        if frame["is_fraud"].nunique() == 2:
            bins = reliability_bins(is_fraud, probabilities).to_dict("records")
            parts[part] = {"figures": reliability_figures(is_fraud, probabilities), "bins": bins}
    if not parts:
        return None
    said_of = "test" if "test" in parts else next(iter(parts))
    bins = parts[said_of]["bins"]
    wrong = [row for row in bins if not row["agrees"]]
    enough = parts[said_of]["figures"]["frauds"] >= _LEAST_FRAUDS
    return {
        "parts": parts,
        "said_of": said_of,
        "verdict": False if wrong else True if enough else None,
        "example": max(wrong, key=_distance) if wrong else max(bins, key=lambda b: b["frauds"]),
        "agreeing": len(bins) - len(wrong),
    }


def _distance(row: dict) -> float:
    return abs(row["predicted"] - row["observed"])
