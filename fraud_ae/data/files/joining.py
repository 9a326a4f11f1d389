"""Further columns of the same transactions, from a second file: joined on what names them."""

import pandas as pd

from fraud_ae.data.files.reading import read_table
from fraud_ae.data.naming import listed
from fraud_ae.data.source_columns import id_text
from fraud_ae.data.source_format import SourceFormat
from fraud_ae.data.values.text_columns import decide_kind
from fraud_ae.errors import DataError


def joined(raw: pd.DataFrame, path: str, source_format: SourceFormat) -> pd.DataFrame:
    """The table, (n, d), with the columns of another file that has the same ids, in its order.

    Transactions that the other file does not have get missing values. Raises DataError where there
    is no id to join on, where an id stands twice in the other file, or where none matches.
    """
    ids = source_format.sources("transaction_id")
    other = read_table(path, source_format)
    absent = [name for name in ids if name not in other]
    if not ids or absent:
        raise DataError(
            f"data.join={path}: is joined on the id of a transaction "
            f"({listed(ids) or 'data.columns.transaction_id is null'}), which it does not have"
        )
    kinds = {"transaction_id": decide_kind(raw[ids[0]])} if len(ids) == 1 else {}
    keys, other_keys = (
        id_text(table, "transaction_id", ids, kinds)[0].reset_index(drop=True)
        for table in (raw, other)
    )
    if other_keys.duplicated().any():
        twice = other_keys[other_keys.duplicated()].iloc[0]
        raise DataError(f"data.join={path}: the id {twice} stands there more than once")
    rows = pd.Index(other_keys).get_indexer(keys)
    if not (rows >= 0).any():
        raise DataError(f"data.join={path}: has none of the ids of these transactions")
    columns = [name for name in other if name not in ids]
    taken = [name for name in columns if name in raw]
    if taken:
        raise DataError(f"data.join={path}: has columns that are there already: {listed(taken)}")
    added = {name: pd.Series(other[name].array.take(rows, allow_fill=True)) for name in columns}
    return pd.concat([raw.reset_index(drop=True), pd.DataFrame(added)], axis=1)
