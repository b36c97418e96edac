"""`python -m features VERB`: what is declared; bring data in, look at it, bring it online."""

import click

from features.verbs import Verbs

VERBS = {
    "list": ("features.feature_commands:list_command", "List the declared features."),
    "describe": ("features.feature_commands:describe_command", "Tell all of one feature."),
    "validate": ("features.feature_commands:validate_command", "Check a file of your own."),
    "ingest": ("features.ingest.command:ingest_command", "Take your own files in."),
    "simulate": ("features.demo_shop.simulate:simulate_command", "Make the demo wine shop."),
    "quality": ("features.quality.commands:quality_command", "Check data, decide on bad ones."),
    "show": ("features.offline.show:show_command", "Show what is stored."),
    "shoppers": ("features.offline.shoppers:shoppers_command", "List who is most active."),
    "training-set": (
        "features.training.command:training_set_command",
        "Join labels with features as they were known.",
    ),
    "dataset": ("features.datasets.commands:dataset_command", "Make, compare and trace datasets."),
    "skew": ("features.skew.command:skew_command", "Compare what was served with the tables."),
    "tidy": (
        "features.offline.show:tidy_command",
        "Merge small files, drop what no version needs.",
    ),
    "materialize": ("features.materialize:materialize_command", "Bring the store online."),
    "consume": ("features.stream.consumer:consume_command", "Carry online events into the store."),
}


@click.group(
    cls=Verbs,
    room="features",
    verbs=VERBS,
    context_settings={"help_option_names": ["-h", "--help"]},
)
def cli() -> None:
    """Declare features, bring data in, look at it, bring it online.

    Everything lives under the directory that CUVEE_HOME names (default: var).
    """


if __name__ == "__main__":
    cli(prog_name="python -m features")
