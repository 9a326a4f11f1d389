"""The rows that figures of labels are made of: those whose label is known."""

import pandas as pd


def labelled(scored: pd.DataFrame) -> pd.DataFrame:
    """The rows of a scored frame, (n, d), that have a label: (m, d), with is_fraud as int8."""
    known = scored["is_fraud"].notna()
    return scored if known.all() else scored[known].astype({"is_fraud": "int8"})
