"""Turns the spans of a runtime into OpenTelemetry spans and sends them in the background."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span as OtelSpan
from opentelemetry.trace import SpanKind, Status, StatusCode
from pydantic import BaseModel, Field, ValidationError

from llmspell_core.errors import ConfigurationError
from llmspell_core.trace import Span

__all__ = ["OtelObserver"]

OPERATIONS = {"model": "chat", "agent": "invoke_agent", "tool": "execute_tool", "workflow": "invoke_workflow"}
NAMES = {"agent": "gen_ai.agent.name", "tool": "gen_ai.tool.name", "workflow": "gen_ai.workflow.name"}
VENDORS = {"gemini": "gcp.gemini", "mistral": "mistral_ai"}
"""Provider names that the conventions write in another way."""
OWN = "llmspell"
KEPT = 1000
"""Runs whose roots are remembered."""


class Settings(BaseModel):
    """The table `[otel]`."""

    endpoint: str = Field(pattern="^https?://", description="Where spans go: http://localhost:4318/v1/traces.")
    headers: dict[str, str] = {}
    timeout_seconds: float = Field(5, gt=0, description="Of one export.")
    service_name: str = OWN


class OtelObserver:
    """Exports over HTTP.

    Args:
        settings: the table `[otel]`.

    Raises:
        ConfigurationError: it names no endpoint, or something in it is of the wrong type.
    """

    settings: ClassVar[type[BaseModel]] = Settings

    def __init__(self, settings: Mapping[str, Any]) -> None:
        given = _typed(settings)
        exporter = OTLPSpanExporter(endpoint=given.endpoint, headers=given.headers, timeout=given.timeout_seconds)
        resource = Resource.create({SERVICE_NAME: given.service_name})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer(OWN)
        self._open: dict[str, OtelSpan] = {}
        self._roots: dict[str, OtelSpan] = {}  # of the newest runs: what follows a root in its run lies below it

    def started(self, span: Span) -> None:
        parent = self._open.get(span.parent_id or "") or self._roots.get(span.run_id)
        made = self._open[span.id] = self._tracer.start_span(
            _name(span),
            context=trace.set_span_in_context(parent)
            if parent is not None
            else trace.set_span_in_context(trace.INVALID_SPAN),
            kind=SpanKind.CLIENT if span.kind == "model" else SpanKind.INTERNAL,
            start_time=round(span.started * 1e9),
        )
        if parent is None:
            self._roots[span.run_id] = made
            if len(self._roots) > KEPT:
                self._roots.pop(next(iter(self._roots)))

    def ended(self, span: Span) -> None:
        made = self._open.pop(span.id, None)
        if made is None:
            return
        made.set_attributes(_attributes(span))
        if span.status in {"error", "cancelled"}:
            made.set_status(Status(StatusCode.ERROR, span.error or span.status))
        made.end(end_time=round((span.started + (span.duration_ms or 0) / 1000) * 1e9))

    def close(self) -> None:
        """Send what waits, within the time limit of one request."""
        self._provider.shutdown()


def _name(span: Span) -> str:
    return f"{OPERATIONS.get(span.kind, span.kind)} {span.name}"


def _attributes(span: Span) -> dict[str, Any]:
    found: dict[str, Any] = {
        "gen_ai.operation.name": OPERATIONS.get(span.kind),
        NAMES.get(span.kind, f"{OWN}.{span.kind}.name"): span.name,
        "gen_ai.usage.input_tokens": span.input_tokens,
        "gen_ai.usage.output_tokens": span.output_tokens,
        "error.type": (span.error_type or span.status) if span.status in {"error", "cancelled"} else None,
        f"{OWN}.run.id": span.run_id,
        f"{OWN}.status": span.status,
        f"{OWN}.cost_usd": span.cost_usd,
    }
    rest = {f"{OWN}.{key}": value for key, value in span.attributes.items() if isinstance(value, (str, int, float))}
    if span.kind == "model":
        found |= _model(span)
        rest = {}
    return {key: value for key, value in (rest | found).items() if value is not None}


def _model(span: Span) -> dict[str, Any]:
    provider = str(span.attributes.get("provider", ""))
    finish = span.attributes.get("finish_reason")
    return {
        "gen_ai.provider.name": VENDORS.get(provider, provider),
        "gen_ai.request.model": span.name,
        "gen_ai.response.model": span.model,
        "gen_ai.response.finish_reasons": [str(finish)] if finish else None,
    }


def _typed(table: Mapping[str, Any]) -> Settings:
    if not table.get("endpoint"):
        raise ConfigurationError("[otel] needs an endpoint", hint='E.g. endpoint = "http://localhost:4318/v1/traces".')
    try:
        return Settings.model_validate(dict(table))
    except ValidationError as error:
        wrong = error.errors(include_input=False)[0]
        where = ".".join(["otel", *map(str, wrong["loc"])])
        raise ConfigurationError(f"{where}: {wrong['msg']}", hint="See: llmspell config show otel") from None
