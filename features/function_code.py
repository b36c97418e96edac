"""What decides what a function returns: its code, that of all it calls, and the values it uses.

    function ─ names it reads ─┬─ functions, by their code, and so on
                               ├─ modules of one's own, by what is read of them
                               ├─ plain values, lists, dicts, sets and arrays of them
                               └─ the standard library, numpy, classes of features: by their names

What is none of these is refused: a hash could not tell it from another of its kind.
"""

import ast
import dis
import inspect
import sys
import textwrap
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from types import CodeType, FunctionType, ModuleType, NoneType

import numpy as np

Code = list[object]
"""As JSON can tell it."""

_PLAIN = (int, float, complex, str, bytes, NoneType)
_LIBRARIES = sys.stdlib_module_names | {"numpy"}
_READS = frozenset(("LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF", "LOAD_CLASSDEREF"))
_ATTRIBUTES = frozenset(("LOAD_ATTR", "LOAD_METHOD"))
_KNOWN = "plain values, lists, dicts, sets and arrays of them, functions, and modules of these"


class UnknownCodeError(Exception):
    """A function uses what its hash could not tell from another."""


def code_of(function: FunctionType, met: frozenset[FunctionType] = frozenset()) -> Code:
    """Return the code of a function and of all that it is made of, however these are laid out.

    Raises `UnknownCodeError` where that cannot be told.
    """
    met |= {function}
    told: Code = [_text(function.__code__)]
    told += [_value("a default", each, met) for each in function.__defaults__ or ()]
    told += [_value(*each, met) for each in sorted((function.__kwdefaults__ or {}).items())]
    used = dict(_used(function))
    return told + [[name, _value(name, used[name], met)] for name in sorted(used)]


def _text(code: CodeType) -> str:
    """Return the source, without what is said about it."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(code)))
    except (OSError, SyntaxError):
        raise UnknownCodeError(f"the source of {code.co_name} cannot be read") from None
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and ast.get_docstring(node):
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def _used(function: FunctionType) -> Iterator[tuple[str, object]]:
    """Yield what a function, and those within it, read from outside, each by its name there."""
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    known = function.__globals__ | {name: cell.cell_contents for name, cell in cells}
    for code in _within(function.__code__):
        steps = [each for each in dis.get_instructions(code) if each.opname != "EXTENDED_ARG"]
        for at, step in enumerate(steps):
            if step.opname == "IMPORT_NAME" and not _is_of_library(step.argval):
                name = function.__name__
                raise UnknownCodeError(f"{name} imports {step.argval} itself: do so in its module")
            if step.opname in _READS and step.argval in known:
                yield _reached(step.argval, known[step.argval], steps[at + 1 :])


def _within(code: CodeType) -> Iterator[CodeType]:
    """Yield a code and all that is defined in it, as comprehensions are."""
    yield code
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from _within(each)


def _reached(name: str, value: object, following: Sequence[dis.Instruction]) -> tuple[str, object]:
    """Return what is read of a module of one's own, and its name; of others they themselves."""
    for step in following:
        if not isinstance(value, ModuleType) or _is_of_library(value.__name__):
            break
        if step.opname not in _ATTRIBUTES:
            raise UnknownCodeError(f"{name}: expected a name of the module, as in {name}.function")
        name, value = f"{name}.{step.argval}", getattr(value, step.argval, None)
    return name, value


def _value(name: str, value: object, met: frozenset[FunctionType]) -> object:
    """Return what tells a value from others."""
    if isinstance(value, np.ndarray | np.generic) and not value.dtype.hasobject:
        return [value.dtype.str, value.shape, blake2b(value.tobytes()).hexdigest()]
    if isinstance(value, _PLAIN):
        return repr(value)
    if isinstance(value, list | tuple | dict | set | frozenset):
        items = value.items() if isinstance(value, dict) else value
        told = [_value(name, each, met) for each in items]
        is_set = isinstance(value, set | frozenset)
        return [type(value).__name__, *(sorted(map(str, told)) if is_set else told)]
    if isinstance(value, FunctionType) and not _is_of_library(value.__globals__["__name__"]):
        return value.__name__ if value in met else code_of(value, met)
    if (library := _name_in_library(value)) is None:
        raise UnknownCodeError(f"{name}: expected {_KNOWN}; got {value!r:.80}")
    return library


def _name_in_library(value: object) -> str | None:
    """Return the name of a module, class or function of a library; None where it is none."""
    if isinstance(value, ModuleType):
        return value.__name__ if _is_of_library(value.__name__) else None
    name = getattr(value, "__name__", None)
    module = getattr(value, "__module__", None) or type(value).__module__
    if isinstance(value, type) and module.startswith("features."):
        return name
    is_of_an_object = not isinstance(getattr(value, "__self__", None), ModuleType | type | None)
    return name if _is_of_library(module) and callable(value) and not is_of_an_object else None


def _is_of_library(module: str) -> bool:
    return module.partition(".")[0] in _LIBRARIES
