"""`python -m server`: serve what is there, and say plainly what is missing."""

import logging
import os
import subprocess
import sys
from typing import NoReturn

import click

from features.errors import FeaturesError
from server.log_lines import stderr_handler
from server.settings import Settings, SettingsError, unknown_variables

USAGE = 2
ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")
"""Pools of numpy's and faiss's spin between requests and take the processor from event loops."""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Serve recommendations over HTTP until SIGTERM or Ctrl-C.

    Settings are environment variables, see docs/settings.md: CUVEE_HOST, CUVEE_PORT,
    CUVEE_WORKERS, CUVEE_HOME, CUVEE_REDIS_URL and others. Without CUVEE_REDIS_URL the service
    starts a Valkey of its own under CUVEE_HOME.
    """
    for line in unknown_variables(os.environ):
        click.echo(f"warning: {line}", err=True)
    try:
        settings = Settings.from_environment(os.environ)
    except SettingsError as error:
        _refuse(error.mistakes)
    logging.basicConfig(handlers=[stderr_handler()], level=settings.log_level)
    for name in ONE_THREAD:  # read when numpy is imported: in a worker, hence later
        os.environ.setdefault(name, "1")
    if os.environ.get("CUVEE_FEATURES"):
        _check("features", "validate")
    if settings.rollout or settings.rules or settings.model_public_key:
        _check("server.setting_files")
    from server.launcher import Launcher, PortError, listen  # noqa: PLC0415 - mistakes first

    try:
        Launcher(settings, listen(settings)).run()
    except (PortError, FeaturesError) as error:
        _refuse([str(error)])


def _check(*words: str) -> None:
    """Refuse what a program of our own refuses; here nothing else needs numpy."""
    check = [sys.executable, "-m", *words]
    told = subprocess.run(check, capture_output=True, text=True, check=False)  # noqa: S603
    if told.returncode:
        click.echo(told.stderr.rstrip(), err=True)
        sys.exit(USAGE)


def _refuse(mistakes: list[str]) -> NoReturn:
    for line in mistakes:
        click.echo(f"error: {line}", err=True)
    sys.exit(USAGE)


if __name__ == "__main__":
    main(prog_name="python -m server")
