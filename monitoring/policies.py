"""Policies in YAML: the default beside the code that it is for, and what a file of one's own says.

What a file does not say stays as it is by default; what it says and nobody knows is refused.
"""

from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import click

from features.errors import FieldError
from features.named_file import read_named
from features.yaml_fields import as_mapping, parse_yaml, read_text, refuse_unknown

DEFAULT = "default.yaml"

Command = TypeVar("Command", bound=Callable[..., Any])
Policy = TypeVar("Policy")


def policy_option(variable: str, about: str = "") -> Callable[[Command], Command]:
    """Return the option `--policy` of a command: a file in place of the one in `variable`."""
    file = f"{about}: a YAML file" if about else "A YAML file"
    return click.option(
        "--policy",
        "policy_file",
        type=click.Path(dir_okay=False, path_type=Path),
        help=f"{file}, instead of {variable}.",
    )


def in_force(parse: Callable[[str, str], Policy], path: Path | None, variable: str) -> Policy:
    """Return what `parse` makes of the file at `path`, or of the one that a `variable` names.

    Where neither is given, of a text that says nothing. Raises `InputError`.
    """
    told = read_named(lambda file: parse(read_text(file), str(file)), variable, path)
    return parse("{}", DEFAULT) if told is None else told


def default_of(package: str) -> dict[str, Any]:
    """Return what the default of a package says."""
    text = (resources.files(package) / DEFAULT).read_text(encoding="utf-8")
    return as_mapping(parse_yaml(text, DEFAULT), DEFAULT)


def declared(text: str, name: str, package: str) -> dict[str, Any]:
    """Return what a text says over the default of `package`; `name` stands in errors."""
    default = default_of(package)
    told = as_mapping(parse_yaml(text, name) or {}, name)
    refuse_unknown(told, default, name)
    return {**default, **told}


def number(raw: Any, where: str, low: float, high: float) -> float:  # noqa: ANN401 - YAML's
    """Return `raw` if it is a number from `low` to `high`."""
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not low <= raw <= high:
        raise FieldError(where, f"expected a number from {low:g} to {high:g}, got {raw!r:.40}")
    return float(raw)


def whole(raw: Any, where: str, most: int) -> int:  # noqa: ANN401 - YAML may be anything
    """Return `raw` if it is a whole number from 1 to `most`."""
    if isinstance(raw, bool) or not isinstance(raw, int) or not 1 <= raw <= most:
        raise FieldError(where, f"expected a whole number from 1 to {most}, got {raw!r:.40}")
    return raw
