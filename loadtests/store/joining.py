"""`python -m loadtests.store.joining`: labels joined with every feature, table to file."""

import json
from pathlib import Path
from time import perf_counter

import click

from features.offline.store import OfflineStore
from features.training.labels import read_labels
from features.training.training_set import write_training_set
from loadtests.store.gauge import peak_mb

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.option("--home", type=click.Path(file_okay=False, path_type=Path), required=True)
@click.option("--labels", type=_FILE, required=True)
@click.option("--out", type=_FILE, required=True, help="The labels with every feature.")
def main(home: Path, labels: Path, out: Path) -> None:
    """Join labels with every feature as it was known at each label's moment."""
    store = OfflineStore(home)
    rows = read_labels(store, str(labels), "event_timestamp")
    started = perf_counter()
    write_training_set(store, rows, out)
    took_s = perf_counter() - started
    click.echo(json.dumps({"join_s": took_s, "peak_mb": peak_mb()}))


if __name__ == "__main__":
    main()
