"""`python -m models VERB`: train, evaluate, and say which model serves."""

import click

from features.verbs import Verbs

VERBS = {
    "train": ("models.train_command:train_command", "Train on what is stored, promote if better."),
    "evaluate": (
        "models.evaluate_command:evaluate_command",
        "Measure what training is worth.",
    ),
    "report": ("models.report_command:report_command", "Write the page about a training run."),
    "import": ("models.import_command:import_command", "Register a ranker made elsewhere."),
    "list": ("models.registry_commands:list_command", "List every model, newest first."),
    "show": ("models.registry_commands:show_command", "Show a model's manifest."),
    "diff": ("models.registry_commands:diff_command", "Show what differs between two models."),
    "verify": ("models.registry_commands:verify_command", "Check a model to the last byte."),
    "promote": ("models.registry_commands:promote_command", "Make a model the one that serves."),
    "rules": ("models.rules.commands:rules_command", "Check and show a storefront's rules."),
    "rollback": ("models.registry_commands:rollback_command", "Serve the previous model again."),
    "canary": ("models.canary_commands:canary_commands", "Try a model on some shoppers first."),
    "history": ("models.registry_commands:history_command", "Show who moved which alias, why."),
    "gc": ("models.registry_commands:gc_command", "Remove models that nobody needs."),
    "push": ("models.shared_commands:push_command", "Send a model to CUVEE_REGISTRY."),
    "pull": ("models.shared_commands:pull_command", "Bring a model from CUVEE_REGISTRY."),
    "follow": ("models.shared_commands:follow_command", "Follow the aliases of CUVEE_REGISTRY."),
    "card": ("models.card_command:card_command", "Write a model card."),
    "keygen": ("models.key_commands:keygen_command", "Make keys to sign models with."),
    "sign": ("models.key_commands:sign_command", "Sign a model."),
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
    follows promotions and rollbacks within a second or so. CUVEE_REGISTRY may name a registry
    that several homes share: aliases are then moved there, and homes follow.
    """


if __name__ == "__main__":
    cli(prog_name="python -m models")
