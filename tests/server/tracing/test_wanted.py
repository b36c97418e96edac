"""When traces are wanted, and that nothing OpenTelemetry's variables say keeps the service down."""

import re
import sys

import pytest

from server.tracing.wanted import TracesError, is_wanted, wanted_spans

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}
TRACES = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://collector/v1/traces"}


def nobody(_: int) -> None:
    """Hear of nothing."""


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        ({"OTEL_SERVICE_NAME": "shop", "OTEL_METRICS_EXPORTER": "otlp"}, False),
        (ENDPOINT, True),
        (TRACES, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        (ENDPOINT | {"OTEL_TRACES_EXPORTER": "none"}, False),
        (ENDPOINT | {"OTEL_SDK_DISABLED": "True"}, False),
        (ENDPOINT | {"OTEL_SDK_DISABLED": "no"}, True),
        (ENDPOINT | {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, True),
        (
            ENDPOINT
            | {
                "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
                "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
            },
            True,
        ),
    ],
)
def test_when(environment: dict[str, str], wanted: bool) -> None:
    """An endpoint or the exporter asks for them; off is off."""
    assert is_wanted(environment) is wanted


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        (
            {"OTEL_TRACES_EXPORTER": "zipkin"},
            "OTEL_TRACES_EXPORTER: expected otlp or none, got 'zipkin'",
        ),
        (
            ENDPOINT | {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "OTEL_EXPORTER_OTLP_PROTOCOL: expected http/protobuf, got 'grpc'",
        ),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"},
            "OTEL_EXPORTER_OTLP_ENDPOINT: expected an http:// or https:// url, got",
        ),
    ],
)
def test_what_cannot_be_done(
    environment: dict[str, str], told: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Is told by the variable, and is a warning where the service starts."""
    with pytest.raises(TracesError, match=re.escape(told)):
        is_wanted(environment)
    assert wanted_spans(environment, nobody) is None
    assert f"no traces: {told}" in caplog.text


def test_without_the_packages(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The extra is named."""
    monkeypatch.delitem(sys.modules, "server.tracing.spans", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.context", None)
    assert wanted_spans(ENDPOINT, nobody) is None
    assert "no traces: they need opentelemetry" in caplog.text
    assert "pip install 'cuvee[otel]'" in caplog.text


def test_a_variable_that_the_sdk_cannot_read(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Is a warning, too."""
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "9")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "3")
    assert wanted_spans(ENDPOINT, nobody) is None
    assert "no traces: " in caplog.text
