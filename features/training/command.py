"""`python -m features training-set`: labels in, the same rows with every feature out."""

from pathlib import Path

import click

from features.declared import FEATURE_SET
from features.errors import InputError
from features.home import home_directory
from features.offline.store import OfflineStore
from features.training.engine import Engine
from features.training.engine_options import engine_options
from features.training.labels import is_query, read_labels
from features.training.training_set import write_training_set
from features.wording import counted


@click.command("training-set")
@click.option("--labels", required=True, help="FILE, or a QUERY (select …) of the tables.")
@click.option("--as-of", required=True, help="The column that says when each row was true.")
@click.option(
    "--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="A Parquet file."
)
@click.option("--mask", is_flag=True, help="A column more for each feature: was it missing?")
@engine_options
def training_set_command(labels: str, as_of: str, out: Path, mask: bool, engine: Engine) -> None:
    """Join labels with every feature as it was known of each row's shopper at its moment.

    Labels have a column user_id, one with the moment (seconds since 1970, or ISO 8601; UTC where
    none tells a zone) and any others, which are kept. They are a CSV or Parquet file, or what a
    query of the tables events, items and users finds:

    --labels "select user_id, arrived_at as at from events where type = 'purchase'" --as-of at

    Rows of a file keep their order; those of a query are sorted by their columns, whatever it
    orders by, so that the same query gives the same file. For the same reason it may not have a
    LIMIT: filter instead.

    A row sees what had arrived before its moment and was still kept online then. Columns named
    country and lat tell where its request came from.
    """
    if not out.parent.is_dir():
        raise InputError(f"--out: there is no directory {out.parent}")
    if not is_query(labels) and out.resolve() == Path(labels.partition("!")[0]).resolve():
        raise InputError(f"--out: {out} holds the labels; name another file")
    store = OfflineStore(home_directory())
    store = store.at(store.version())  # what arrives meanwhile is not in it
    rows = read_labels(store, labels, as_of)
    told = write_training_set(store, rows, out, mask=mask, engine=engine)
    click.echo(
        f"{out}: {counted(told.rows, 'row')}, {told.strangers:,} of them of shoppers "
        f"nobody knew then; {len(FEATURE_SET.names)} features of schema {FEATURE_SET.schema_hash}, "
        f"{told.version}"
    )
