"""`python -m models VERB`: train, evaluate, and say which model serves."""

import click

from features.verbs import Verbs

VERBS = {
    "train": ("models.train_command:train_command", "Train on what is stored, promote if better."),
    "evaluate": ("models.evaluate_command:evaluate_command", "Measure on a temporal split."),
    "list": ("models.registry_commands:list_command", "List every model, newest first."),
    "show": ("models.registry_commands:show_command", "Show a model's manifest."),
    "verify": ("models.registry_commands:verify_command", "Check a model to the last byte."),
    "promote": ("models.registry_commands:promote_command", "Make a model the one that serves."),
    "rules": ("models.rules.commands:rules_command", "Check and show a storefront's rules."),
    "rollback": ("models.registry_commands:rollback_command", "Serve the previous model again."),
}


@click.group(
    cls=Verbs,
    room="models",
    verbs=VERBS,
    context_settings={"help_option_names": ["-h", "--help"]},
)
def cli() -> None:
    """Train, evaluate, and say which model serves.

    Models live under the directory that CUVEE_HOME names (default: var). A service that runs
    follows promotions and rollbacks within a second or so.
    """


if __name__ == "__main__":
    cli(prog_name="python -m models")
