"""Settings: where they come from, what they are, and how to change them.

config = load_config()
config.get("runtime.script_timeout_seconds")      # 300
config.origin("runtime.script_timeout_seconds")   # "default"
config.settings.runtime.script_timeout_seconds    # typed
"""

from __future__ import annotations

from llmspell_core.config.configuration import Config, Row
from llmspell_core.config.loading import load_config
from llmspell_core.config.views import policy_settings, provider_settings, script_limits

__all__ = ["Config", "Row", "load_config", "policy_settings", "provider_settings", "script_limits"]
