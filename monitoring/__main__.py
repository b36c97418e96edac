"""`python -m monitoring VERB`: look at a running service, its world and what its lists earn."""

import click

from features.verbs import Verbs

VERBS = {
    "window": ("monitoring.window_command:window_command", "Show the last seconds of all workers."),
    "run": ("monitoring.run_command:run_command", "Watch what is served, act on what is found."),
    "drift": ("monitoring.drift.show_command:show_command", "Show what has drifted."),
    "outcomes": (
        "monitoring.outcomes.command:outcomes_command",
        "Show what became of lists that were served.",
    ),
    "performance": (
        "monitoring.performance.command:performance_command",
        "Show how well the lists of the model that serves do.",
    ),
    "audit": ("monitoring.response.audit_command:audit_command", "Show what was done, and why."),
    "fallback": (
        "monitoring.response.fallback_command:fallback_command",
        "Show or set who gets popular items on purpose.",
    ),
    "calibrate": (
        "monitoring.drift.calibrate_command:calibrate_command",
        "Find the limit for the false alarms that can be borne.",
    ),
    "rules": (
        "monitoring.slo.rules_command:rules_command",
        "Make Prometheus rules of the objectives.",
    ),
}


@click.group(
    cls=Verbs,
    room="monitoring",
    verbs=VERBS,
    context_settings={"help_option_names": ["-h", "--help"]},
)
def cli() -> None:
    """Look at what the service is doing now, and whether its world is still the one it knows."""


if __name__ == "__main__":
    cli(prog_name="python -m monitoring")
