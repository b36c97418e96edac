"""What is declared in YAML, field by field; each mistake names the field and what was expected."""

import re
from collections.abc import Collection
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

import yaml
from yaml.constructor import ConstructorError

from features.errors import FieldError, InputError

Choice = TypeVar("Choice", bound=StrEnum)

_MERGED = "<<"
"""What brings in the fields of another mapping."""

_WHOLE = "tag:yaml.org,2002:int"

_NAMELESS = 'in "<unicode string>", line'
"""Where YAML says that a mistake is, of a text."""


def read_text(path: Path) -> str:
    """Return the text of a file, or raise `InputError`."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: cannot be read: {error}") from None


def parse_yaml(text: str, name: str) -> object:
    """Return what a YAML text says, or raise `InputError`."""
    try:
        told: object = yaml.load(text, _Loader)  # noqa: S506 (a safe one)
    except yaml.YAMLError as error:
        told = " ".join(str(error).split()).replace(_NAMELESS, "at line")
        raise InputError(f"{name}: not YAML: {told}") from None
    except RecursionError:
        raise InputError(f"{name}: not YAML that can be read: nested too deeply") from None
    return told


class _Loader(yaml.SafeLoader):
    """Refuses a name that stands twice, where YAML's own keeps the last, and values of no type.

    A whole number is what is written as one: YAML's own reads the id 00113 as octal, as 75.
    """

    def compose_mapping_node(self, anchor: dict[Any, yaml.Node]) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen = set[str]()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen - {_MERGED}:
                told = f"{key.value!r} stands twice"
                raise ConstructorError(problem=told, problem_mark=key.start_mark)
            seen.add(str(key.value))
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: ANN401 (yaml's)
        try:
            return super().construct_object(node, deep)
        except (AttributeError, ValueError) as error:  # a date without such a day, say
            raise ConstructorError(problem=str(error), problem_mark=node.start_mark) from None


_Loader.yaml_implicit_resolvers = {
    first: [each for each in kinds if each[0] != _WHOLE]
    for first, kinds in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_WHOLE, re.compile("[-+]?(0|[1-9][0-9]*)$"), list("-+0123456789"))


def as_mapping(raw: object, where: str) -> dict[str, Any]:
    """Return `raw` if it is a mapping."""
    if not isinstance(raw, dict):
        raise FieldError(where, f"expected a mapping, got {raw!r:.40}")
    return {str(name): value for name, value in raw.items()}


def as_list(raw: object, where: str) -> list[Any]:
    """Return `raw` if it is a list."""
    if not isinstance(raw, list):
        raise FieldError(where, f"expected a list, got {raw!r:.40}")
    return raw


def as_choice(choices: type[Choice], raw: object, where: str) -> Choice:
    """Return the one of `choices` that `raw` names."""
    try:
        return choices(str(raw))
    except ValueError:
        raise FieldError(where, f"expected one of {', '.join(choices)}; got {raw!r:.40}") from None


def refuse_unknown(given: Collection[str], known: Collection[str], where: str) -> None:
    """Raise where one of the names given is not known."""
    for name in given:
        if name not in known:
            raise FieldError(where, unknown(name, known))


def unknown(name: str, known: Collection[str]) -> str:
    """Return the sentence that refuses `name` and suggests the nearest of `known`."""
    lowered = {each.casefold(): each for each in known}
    near = get_close_matches(name.casefold(), lowered, n=1)
    hint = f"did you mean {lowered[near[0]]!r}?" if near else f"there are {', '.join(known)}"
    return f"there is no {name!r}; {hint}"
