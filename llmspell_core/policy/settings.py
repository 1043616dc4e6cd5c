"""What a policy is made from: plain values, wherever they come from."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from llmspell_core.errors import ConfigurationError
from llmspell_core.places import configuration_places

__all__ = ["PROFILES", "PolicySettings"]

MIB = 1024 * 1024

# Places where a file means power over the machine, or holds somebody's keys or history.
SENSITIVE_PATHS = (
    "/boot", "/dev", "/etc", "/private/etc", "/proc", "/run", "/sys", "/var/run",
    "~/.aws", "~/.azure", "~/.bash_history", "~/.config/gcloud", "~/.config/gh", "~/.config/git/credentials", "~/.config/llmspell",
    "~/.config/llmspell.toml", "~/.docker", "~/.git-credentials", "~/.gnupg", "~/.kube", "~/.llmspell", "~/.llmspell.toml",
    "~/.local/share/keyrings", "~/.my.cnf", "~/.netrc", "~/.npmrc", "~/.password-store", "~/.pgpass", "~/.pypirc",
    "~/.python_history", "~/.ssh", "~/.zsh_history", "~/Library/Keychains",
)  # fmt: skip

# A script that could write a configuration would choose its own permissions for the next run.
# In every folder, because somebody may work there tomorrow. The last ones are for LLMSPELL_ENV.
CONFIGURATION_NAMES = ("llmspell.toml", ".llmspell.toml", "llmspell.*.toml", ".llmspell.*.toml")

MERGED = {"tool_levels"}  # given entries are added to those of the profile
BLOCKED_PORTS = (22, 23, 25, 110, 135, 139, 445, 1433, 3306, 3389, 5432, 5900, 6379, 8020, 9200, 11211, 27017)


def _usual_directories() -> tuple[str, ...]:
    return (".", tempfile.gettempdir())


def _configuration() -> tuple[str, ...]:
    return tuple(configuration_places(os.environ))


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySettings:
    """Every decision that can be configured. The defaults are the profile `medium`.

    Args:
        profile: the name shown in messages.
        allow_tools, allow_file_access, allow_network_access, allow_process_spawn: the main switches.
        max_tool_level: safe, restricted or privileged; tools above it do not run.
        tool_levels: tool name -> the level it counts as here, instead of its own.
        minimum_levels: tool name -> the level it counts as at least, whatever else is said of it.
        working_directory: what relative paths start from; None is the process's.
        allowed_paths: directories and files a tool may touch, with everything below them; `*` is any. By default the
            working directory and the temporary directory.
        denied_paths: wins over `allowed_paths`.
        sensitive_paths: system directories and key stores; denied unless `allowed_paths` names them, or a place in
            them, in so many words.
        read_only_paths: may be read but not changed; by default llmspell's own configuration.
        blocked_extensions, allowed_extensions: of files that are written, without the dot; empty allows all.
        max_file_size: bytes, for one read or write.
        allowed_hosts: `*`, names, `*.example.com`, addresses, networks, each optionally with `:port`. Naming
            `localhost` or an address here also allows it although it is not public; a name that resolves to a private
            address needs `allow_private_networks` as well, because whoever runs its DNS could point it anywhere.
        blocked_hosts: the same forms; wins over `allowed_hosts`.
        allow_private_networks: networks, addresses or host names that may be private; `*` is every private network
            except link-local, where cloud machines keep their credentials: name `169.254.0.0/16` to allow that.
        blocked_ports: never used unless an entry of `allowed_hosts` names host and port.
        http_timeout: seconds for one request, redirects and body included.
        requests_per_window, window_seconds: to one host; 0 is unlimited.
        allowed_commands: program names, looked up on the PATH, or absolute paths; `*` is any.
        allowed_env_vars: names, with `*`, that tools may read and that child processes get.
    """

    profile: str = "medium"
    allow_tools: bool = True
    allow_file_access: bool = True
    allow_network_access: bool = True
    allow_process_spawn: bool = False
    max_tool_level: str = "restricted"
    tool_levels: Mapping[str, str] = field(default_factory=dict)
    minimum_levels: Mapping[str, str] = field(default_factory=dict)

    working_directory: str | None = None
    allowed_paths: tuple[str, ...] = field(default_factory=_usual_directories)
    denied_paths: tuple[str, ...] = ()
    sensitive_paths: tuple[str, ...] = SENSITIVE_PATHS
    read_only_paths: tuple[str, ...] = field(default_factory=_configuration)
    allowed_extensions: tuple[str, ...] = ()
    blocked_extensions: tuple[str, ...] = ("exe", "dll", "so", "dylib")
    max_file_size: int = 50_000_000
    max_dir_entries: int = 10_000
    atomic_writes: bool = True

    allowed_hosts: tuple[str, ...] = ("*",)
    blocked_hosts: tuple[str, ...] = ()
    allow_private_networks: tuple[str, ...] = ()
    blocked_ports: tuple[int, ...] = BLOCKED_PORTS
    http_timeout: float = 30.0
    max_redirects: int = 5
    max_request_size: int = 10_000_000
    max_response_size: int = 50_000_000
    verify_ssl: bool = True
    default_headers: Mapping[str, str] = field(default_factory=lambda: {"User-Agent": "llmspell-http/1.0"})
    requests_per_window: int = 100
    window_seconds: float = 60.0

    allowed_commands: tuple[str, ...] = ()
    command_timeout: float = 30.0
    max_output_size: int = MIB
    allowed_env_vars: tuple[str, ...] = ()

    @classmethod
    def for_profile(cls, profile: str = "medium", **overrides: Any) -> PolicySettings:
        """The profile's values with `overrides` on top; an override of None leaves the profile's value.

        Raises:
            ConfigurationError: no such profile, or no such setting.
        """
        if profile not in PROFILES:
            raise ConfigurationError(
                f"there is no security profile '{profile}'",
                setting="security.profile",
                hint=f"Use {', '.join(PROFILES)}.",
            )
        given = {name: value for name, value in overrides.items() if value is not None}
        _check_names(given)
        preset = PROFILES[profile]
        for name in MERGED.intersection(preset, given):
            given[name] = {**preset[name], **given[name]}
        values = {"profile": profile, **preset, **given}
        return cls(**{name: _as_tuple(value) for name, value in values.items()})

    @classmethod
    def of(cls, settings: PolicySettings | Mapping[str, Any] | None) -> PolicySettings:
        """`settings` as they are, or made from a mapping whose `profile` says what the other keys override."""
        if isinstance(settings, PolicySettings):
            return settings
        values = dict(settings or {})
        return cls.for_profile(values.pop("profile", None) or "medium", **values)

    @property
    def base(self) -> Path:
        """The absolute directory that relative paths start from."""
        return Path(self.working_directory or ".").expanduser().resolve()


def _check_names(given: Mapping[str, Any]) -> None:
    known = {f.name for f in fields(PolicySettings)}
    for name in given:
        if name not in known:
            raise ConfigurationError(
                f"'{name}' is not a security setting", setting=name, hint=f"Known: {sorted(known)}"
            )


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list | set | frozenset) else value


# Every path that file-operations touches goes through `allowed_paths`, so it may run where privileged tools may not.
# The requests of web tools leave the machine, which the profile for untrusted scripts wants to be asked about.
PROFILES: dict[str, dict[str, Any]] = {
    "low": {
        "max_tool_level": "privileged",
        "allowed_paths": ("*",),
        "allow_private_networks": ("*",),
        "allow_process_spawn": True,
    },
    "medium": {"tool_levels": {"file-operations": "restricted"}},
    "high": {
        "max_tool_level": "safe",
        "allow_file_access": False,
        "allow_network_access": False,
        "tool_levels": {"http-request": "restricted", "web-search": "restricted"},
    },
}
