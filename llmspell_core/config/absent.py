"""Settings of parts that this version does not have: files written for others name them, and deserve a plain answer."""

from __future__ import annotations

from llmspell_core.config.document import Keys

__all__ = ["missing_part"]

_PARTS: dict[Keys, str] = {
    ("daemon",): "no service mode",
    ("debug", "break_on_entry"): "no step debugger",
    ("debug", "break_on_error"): "no step debugger",
    ("debug", "dap_port"): "no step debugger",
    ("debug", "enable_dap"): "no step debugger",
    ("debug", "output"): "no log of its own for Debug; see [logging]",
    ("debug", "performance"): "no profiler",
    ("debug", "stack_trace"): "no recorded stack traces",
    ("debug", "wait_for_debugger"): "no step debugger",
    ("events", "correlation"): "no event log",
    ("events", "emit_debug_events"): "no event log",
    ("events", "emit_state_events"): "no event log",
    ("events", "emit_timing_events"): "no event log",
    ("events", "export"): "no event log",
    ("events", "filtering"): "no event log",
    ("features",): "no compile-time features; what is installed decides what is available",
    ("hooks", "builtin"): "no built-in hooks",
    ("hooks", "circuit_breaker_threshold"): "no circuit breaker for hooks",
    ("hooks", "rate_limit_per_minute"): "no rate limit for hooks",
    ("kernel",): "no kernel for notebooks",
    ("logging", "rotation"): "one way to rotate; see logging.max_size_mb",
    ("logging", "syslog_enabled"): "no output to syslog",
    ("memory",): "no memory of conversations",
    ("protocols",): "no kernel for notebooks",
    ("rag",): "no retrieval",
    ("runtime", "hot_reload"): "no reloading of settings",
    ("runtime", "memory"): "no memory of conversations",
    ("runtime", "sessions"): "no recorded sessions",
    ("runtime", "state_persistence"): "no durable state",
    ("security", "audit"): "no server",
    ("security", "authentication"): "no server",
    ("security", "rate_limiting"): "no server",
    ("security", "sandbox", "allow_stdlib"): "no choice of libraries; runtime.security.profile decides",
    ("security", "sandbox", "enabled"): "no way to switch the sandbox off",
    ("security", "sandbox", "mode"): "one kind of sandbox",
    ("service",): "no service mode",
    ("sessions",): "no recorded sessions",
    ("signals",): "no service mode",
    ("state",): "no durable state",
    ("storage",): "no durable storage",
    ("tenancy",): "no tenants",
    ("tools", "rate_limit_per_minute"): "no limit over all tools; see security.sandbox.rate_limit",
}


def missing_part(keys: Keys) -> str | None:
    """What this version has instead of the part that would read the setting at `keys`, e.g. `no retrieval`."""
    return next((_PARTS[keys[:n]] for n in range(len(keys), 0, -1) if keys[:n] in _PARTS), None)
