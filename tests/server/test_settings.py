"""Settings: defaults, every mistake at once, nothing secret shown, and a table that is true."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from server.settings import VARIABLES, Settings, SettingsError, unknown_variables

TABLE = Path(__file__).parents[2] / "docs" / "settings.md"
ROW = re.compile(r"^\| `(CUVEE_[A-Z_]+)` \| (?:`([^`]*)`)? ?\|", re.MULTILINE)


def test_an_empty_environment_is_enough() -> None:
    """Nothing need be set, and empty is as good as unset."""
    assert Settings.from_environment({}) == Settings()
    empty = {variable.name: "" for variable in VARIABLES.values()}
    assert Settings.from_environment(empty) == Settings()


def test_every_field_can_be_set() -> None:
    """Each variable arrives in its field, in the field's unit."""
    settings = Settings.from_environment(
        {
            "CUVEE_HOST": "0.0.0.0",
            "CUVEE_PORT": "81",
            "CUVEE_WORKERS": "3",
            "CUVEE_HOME": "/srv/c",
            "CUVEE_REDIS_URL": "redis://r:6379/1",
            "CUVEE_DEADLINE_MS": "80",
            "CUVEE_FEATURE_TIMEOUT_MS": "40",
            "CUVEE_CACHE_TTL_S": "0",
            "CUVEE_MAX_INFLIGHT": "9",
            "CUVEE_ADMIN_TOKEN": "t",
            "CUVEE_DRAIN_S": "2.5",
            "CUVEE_LOG_LEVEL": "debug",
        }
    )
    expected = Settings(
        "0.0.0.0", 81, 3, Path("/srv/c"), "redis://r:6379/1", 0.08, 0.04, 0.0, 9, "t", 2.5, "DEBUG"
    )
    assert settings == expected
    assert VARIABLES.keys() == {field.name for field in fields(Settings)}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CUVEE_PORT", "0"),
        ("CUVEE_PORT", "65536"),
        ("CUVEE_PORT", "http"),
        ("CUVEE_WORKERS", "-1"),
        ("CUVEE_WORKERS", "1.5"),
        ("CUVEE_DEADLINE_MS", "nan"),
        ("CUVEE_DEADLINE_MS", "inf"),
        ("CUVEE_DEADLINE_MS", "0"),
        ("CUVEE_CACHE_TTL_S", "-1"),
        ("CUVEE_MAX_INFLIGHT", "many"),
        ("CUVEE_LOG_LEVEL", "loud"),
        ("CUVEE_REDIS_URL", "localhost:6379"),
        ("CUVEE_HOST", "a\nb"),
        ("CUVEE_REGISTRY", "gs://bucket"),
        ("CUVEE_REGISTRY", "s3:///prefix"),
    ],
)
def test_a_bad_value_is_named(name: str, value: str) -> None:
    """The variable and what was expected are told."""
    with pytest.raises(SettingsError, match=f"{name}: expected"):
        Settings.from_environment({name: value})


def test_all_mistakes_are_told_at_once() -> None:
    """Who made three mistakes need not start three times."""
    wrong = {"CUVEE_PORT": "x", "CUVEE_WORKERS": "x", "CUVEE_DRAIN_S": "x", "CUVEE_HOST": "ok"}
    with pytest.raises(SettingsError) as refused:
        Settings.from_environment(wrong)
    assert len(refused.value.mistakes) == 3


def test_features_cannot_take_longer_than_the_answer() -> None:
    """A feature budget beyond the deadline is a mistake, not a wish."""
    with pytest.raises(SettingsError, match="at most CUVEE_DEADLINE_MS"):
        Settings.from_environment({"CUVEE_DEADLINE_MS": "40"})


def test_secrets_are_not_shown() -> None:
    """Neither the token nor a password in a url is printed, right or wrong."""
    settings = Settings(redis_url="redis://:s3cret@r", admin_token="s3cret")
    assert "s3cret" not in repr(settings)
    with pytest.raises(SettingsError) as refused:
        Settings.from_environment({"CUVEE_REDIS_URL": "s3cret@r", "CUVEE_ADMIN_TOKEN": "s3cret\0"})
    assert "s3cret" not in str(refused.value)


def test_unknown_variables_get_a_hint() -> None:
    """A misspelt variable is told with the nearest one; those of the load tests are not ours."""
    told = unknown_variables({"CUVEE_PROT": "1", "CUVEE_LOADTEST_USERS": "f", "HOME": "/"})
    assert told == ["CUVEE_PROT is not read; did you mean CUVEE_PORT?"]


def test_the_table_is_true() -> None:
    """docs/settings.md names every variable with its default."""
    defaults = {variable.name: getattr(Settings(), field) for field, variable in VARIABLES.items()}
    told = dict(ROW.findall(TABLE.read_text(encoding="utf-8")))
    assert told.keys() == defaults.keys()
    for name, shown in told.items():
        default = defaults[name]
        if isinstance(default, float):
            default = f"{default * (1_000 if name.endswith('_MS') else 1):g}"
        assert shown == ("" if default is None else str(default)), name
