"""Looking inside an agent: configuration, numbers, health, alerts, lifecycle."""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmspell_core.agent import Agent, LLMAgent
from llmspell_core.errors import ComponentError, LLMSpellError, ValidationError
from llmspell_core.messages import Message
from llmspell_core.script.globals.agent.conversation import grow, settle
from llmspell_core.state import full_key

if TYPE_CHECKING:
    from llmspell_core.script.scope import ScriptScope

log = logging.getLogger("llmspell.agent")
MB = 1_000_000


def get_config(_scope: ScriptScope, agent: Agent) -> dict[str, Any]:
    return {**agent.config.public(), "type": agent.config.agent_type}


def get_metrics(scope: ScriptScope, agent: Agent) -> dict[str, Any]:
    """Counts of the agent; memory and processor are those of the process that it shares with the others."""
    return {
        "agent_id": str(agent.metadata.id),
        **agent.metrics(),
        "memory_bytes": _resident_bytes(),
        "cpu_percent": _cpu_percent(scope),
    }


def _resident_bytes() -> int:
    """Of this process now, or its peak where the system does not tell."""
    import resource

    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def _cpu_percent(scope: ScriptScope) -> float:
    return 100.0 * time.process_time() / max(_uptime(scope), 0.001)


def _uptime(scope: ScriptScope) -> float:
    return float(time.time() - scope.runtime.started_at)


def get_bridge_metrics(scope: ScriptScope, _agent: Agent) -> dict[str, Any]:
    return {
        "active_agents": len(scope.runtime.agents),
        "total_tools": len(scope.runtime.tools.names()),
        "performance": {
            "memory_usage_mb": _resident_bytes() / MB,
            "cpu_usage_percent": _cpu_percent(scope),
            "uptime_seconds": _uptime(scope),
        },
    }


def get_performance(_scope: ScriptScope, agent: Agent) -> dict[str, Any]:
    metrics = agent.metrics()
    return {
        "total_executions": metrics["requests_total"],
        "avg_execution_time_ms": metrics["avg_execution_time_ms"],
        "success_rate": metrics["success_rate"],
        "error_rate": metrics["error_rate"],
    }


async def get_health(scope: ScriptScope, agent: Agent) -> dict[str, Any]:
    reason = None if agent.lifecycle.is_healthy else agent.last_error or f"it is {agent.state}"
    if reason is None and isinstance(agent, LLMAgent):
        try:
            provider, _ = await scope.runtime.providers.for_agent(agent.config)
            health = await provider.health()
            reason = None if health.healthy else health.reason or "its provider does not answer"
        except LLMSpellError as error:
            reason = error.message
    return {"status": "healthy" if reason is None else "unhealthy", "message": reason, "timestamp": int(time.time())}


# -- the conversation -----------------------------------------------------------------------------------------------


def _with_conversation(agent: Agent) -> LLMAgent:
    if not isinstance(agent, LLMAgent):
        raise ComponentError(f"agent '{agent.name}' keeps no conversation of its own")
    return agent


def get_conversation(_scope: ScriptScope, agent: Agent) -> list[dict[str, Any]]:
    return [message.to_dict() for message in _with_conversation(agent).history]


def add_message(scope: ScriptScope, agent: Agent, role: Any, content: str) -> None:
    found = _with_conversation(agent)
    grow(scope, found, scope.call_bytes)
    found.add_message(Message(role, content))


def clear_conversation(scope: ScriptScope, agent: Agent) -> None:
    found = _with_conversation(agent)
    found.clear_conversation()
    settle(scope, found)


def trim_conversation(scope: ScriptScope, agent: Agent, length: int) -> None:
    found = _with_conversation(agent)
    if length < 0:
        raise ValidationError(f"Agent:trim_conversation: 'length' must not be negative, got {length}", field="length")
    found.trim_conversation(length)
    settle(scope, found)


def conversation_length(_scope: ScriptScope, agent: Agent) -> int:
    return len(_with_conversation(agent).history)


async def save_state(_scope: ScriptScope, agent: Agent) -> None:
    await _with_conversation(agent).save_state()


async def load_state(_scope: ScriptScope, agent: Agent) -> bool:
    return await _with_conversation(agent).load_state()


async def delete_state(_scope: ScriptScope, agent: Agent) -> None:
    await _with_conversation(agent).delete_state()


async def set_state(scope: ScriptScope, agent: Agent, values: dict[str, Any]) -> None:
    """Under `agent:<name>:<key>`, where `State.agent_get(name, key)` finds them."""
    for key, value in values.items():
        await scope.runtime.state.set(full_key("agent", agent.name, key), value)


# -- the lifecycle --------------------------------------------------------------------------------------------------


def get_state(_scope: ScriptScope, agent: Agent) -> str:
    return agent.state


async def initialize(_scope: ScriptScope, agent: Agent) -> None:
    await agent.initialize()


async def start(_scope: ScriptScope, agent: Agent) -> None:
    await agent.start()


async def pause(_scope: ScriptScope, agent: Agent) -> None:
    await agent.pause()


async def resume(_scope: ScriptScope, agent: Agent) -> None:
    await agent.resume()


async def stop(_scope: ScriptScope, agent: Agent) -> None:
    await agent.stop()


async def terminate(_scope: ScriptScope, agent: Agent) -> None:
    await agent.terminate()


async def recover(_scope: ScriptScope, agent: Agent) -> None:
    await agent.recover()


async def set_error(scope: ScriptScope, agent: Agent, message: str) -> None:
    scope.keep()
    await agent.set_error(message)


def get_last_error(_scope: ScriptScope, agent: Agent) -> str | None:
    return agent.last_error


def get_recovery_attempts(_scope: ScriptScope, agent: Agent) -> int:
    return agent.lifecycle.recovery_attempts


def is_healthy(_scope: ScriptScope, agent: Agent) -> bool:
    return agent.lifecycle.is_healthy


def get_state_history(_scope: ScriptScope, agent: Agent) -> list[dict[str, Any]]:
    return [transition.to_dict() for transition in agent.lifecycle.history]


def get_state_metrics(_scope: ScriptScope, agent: Agent) -> dict[str, Any]:
    return agent.lifecycle.metrics()


async def destroy(scope: ScriptScope, agent: Agent) -> None:
    """Hooks may keep it alive: then this raises."""
    if agent.state not in {"Terminated", "Uninitialized"}:
        await agent.terminate()
    scope.runtime.agents.remove(agent.name)


# -- alerts and events ----------------------------------------------------------------------------------------------


def configure_alerts(scope: ScriptScope, agent: Agent, rule: dict[str, Any]) -> None:
    scope.keep()
    from llmspell_core.agent.alerts import AlertRule, Alerts

    if agent.alerts is None:
        agent.alerts = Alerts()
    agent.alerts.configure(AlertRule.of(rule, agent.metrics()))


def get_alerts(_scope: ScriptScope, agent: Agent) -> list[dict[str, Any]]:
    return [] if agent.alerts is None else [alert.to_dict() for alert in agent.alerts.raised]


def log_event(scope: ScriptScope, agent: Agent, kind: str, message: str) -> None:
    log.info("agent %s: %s: %s", agent.name, kind, message)
    scope.runtime.events.emit(kind, {"agent": agent.name, "message": message}, scope.context)
