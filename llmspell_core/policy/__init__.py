"""The security policy: what tools, and the scripts behind them, may do to the outside.

    policy = Policy(PolicySettings.for_profile("medium", allowed_paths=("~/notes",)))
    files = Files(policy, context)      # what a tool sees as ctx.files
    http = Http(policy, context)        # ctx.http
    process = Process(policy, context)  # ctx.process

`settings` says what there is to decide, `policy` decides about tools, names and secrets, `path` about paths, `host`
about hosts and addresses; `files`, `http` and `process` act, and act only on what was decided.
"""

from __future__ import annotations

from llmspell_core.policy.files import FileEntry, Files
from llmspell_core.policy.http import Http, HttpResponse
from llmspell_core.policy.policy import Policy
from llmspell_core.policy.process import Process, ProcessResult
from llmspell_core.policy.settings import PROFILES, PolicySettings

__all__ = [
    "PROFILES",
    "FileEntry",
    "Files",
    "Http",
    "HttpResponse",
    "Policy",
    "PolicySettings",
    "Process",
    "ProcessResult",
]
