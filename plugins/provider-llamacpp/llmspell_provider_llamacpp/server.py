"""One model server: a child process, started, watched and ended by us."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sys
from collections import deque
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from llmspell_core.errors import ProviderError, ResourceError, StorageError

__all__ = ["Launch", "ModelServer"]

MODULE = "llmspell_provider_llamacpp.serve"
LOG_LINES = 200
TAIL_LINES = 8
GRACE_SECONDS = 2.0
# what native code and the interpreter may need; no keys, and no words that a settings library would take for its own
KEPT_VARIABLES = (
    "PATH", "HOME", "LANG", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT", "USERPROFILE", "VIRTUAL_ENV",
    "LC_", "LD_", "DYLD_", "PYTHON", "CUDA", "HIP", "ROCR", "GGML", "OMP_", "VK_", "METAL",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Launch:
    """What a server is started with. `context_size` in tokens for each of the `parallel` answers at a time."""

    backend: str
    model: str
    alias: str
    context_size: int
    threads: int
    parallel: int = 1
    gpu_layers: int | None = None


class ModelServer:
    """A running child. Make it with `start`, end it with `stop`."""

    def __init__(self, launch: Launch, process: asyncio.subprocess.Process) -> None:
        self.launch = launch
        self.url = ""
        self.api_key = secrets.token_urlsafe(32)
        self._process = process
        self._log: deque[str] = deque(maxlen=LOG_LINES)
        self._reader = asyncio.ensure_future(self._keep_log())

    @classmethod
    async def start(cls, launch: Launch, timeout: float) -> ModelServer:
        """Wait until it answers.

        Raises:
            ResourceError: no process can be started.
            StorageError: the file cannot be loaded.
            ProviderError: the process ended or is not ready within `timeout` seconds. Both show the log's end.
        """
        server = cls(launch, await _spawn(launch))
        try:
            answer = await asyncio.wait_for(server._first_words(), timeout)
        except BaseException as error:
            await asyncio.shield(asyncio.ensure_future(server.stop()))
            if isinstance(error, TimeoutError):
                raise server._failed(f"was not ready within {timeout:g} seconds") from None
            raise
        if "url" in answer:
            server.url = answer["url"]
            return server
        await server.stop()
        raise server._not_loaded(answer)

    @property
    def alive(self) -> bool:
        return self._process.returncode is None

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ended(self, within: float) -> bool:
        """Whether the process is gone, waiting a moment for the news."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), within)
        return not self.alive

    def died(self) -> ProviderError:
        return self._failed(f"stopped while it was answering ({self._exit()})", "It is started again at the next call.")

    def log_tail(self) -> str:
        return "\n".join(list(self._log)[-TAIL_LINES:])

    async def stop(self) -> None:
        """Close its stdin, which ends it; kill it if that does not help soon."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        if not await self.ended(GRACE_SECONDS):
            self._process.kill()
            await self._process.wait()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._reader, GRACE_SECONDS)

    async def _first_words(self) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        config = asdict(self.launch) | {"api_key": self.api_key}
        with suppress(ConnectionError):  # it ended already: the empty answer says so
            self._process.stdin.write(json.dumps(config).encode() + b"\n")
            await self._process.stdin.drain()
        line = await self._process.stdout.readline()
        try:
            answer = json.loads(line)
        except ValueError:
            return {}
        return answer if isinstance(answer, dict) else {}

    async def _keep_log(self) -> None:
        assert self._process.stderr is not None
        while True:
            try:
                line = await self._process.stderr.readline()
            except ValueError:  # longer than the stream's limit
                continue
            if not line:
                return
            self._log.append(line.decode("utf-8", "replace").rstrip().replace(self.api_key, "***"))

    def _not_loaded(self, answer: dict[str, Any]) -> ProviderError | StorageError:
        log = "\n".join(self._log)
        if "within the file bounds" in log or "corrupted" in log or "invalid magic" in log:
            return StorageError(
                f"the file of the local model '{self.launch.alias}' is damaged or cut off ({self.launch.model})",
                hint=f"Fetch it again: llmspell model pull {self.launch.alias} --force",
            )
        said = str(answer.get("error") or self._exit())
        return self._failed(f"did not start: {said}")

    def _failed(self, what: str, next_step: str = "") -> ProviderError:
        tail = self.log_tail()
        hint = next_step or "See the server's last words below; a smaller context_size or model may help."
        return ProviderError(
            f"the server of the local model '{self.launch.alias}' ({self.launch.backend}) {what}",
            provider="local",
            model=self.launch.alias,
            hint=f"{hint}\n{tail}" if tail else hint,
        )

    def _exit(self) -> str:
        code = self._process.returncode
        if code == -9:
            return "killed by the system, perhaps for lack of memory"
        return f"exit code {code}"


async def _spawn(launch: Launch) -> asyncio.subprocess.Process:
    try:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # the user's folder shall not provide modules
            "-m",
            MODULE,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={k: v for k, v in os.environ.items() if k.upper().startswith(KEPT_VARIABLES)},
            start_new_session=True,  # Ctrl-C is for the parent, which ends us in order
        )
    except OSError as error:
        raise ResourceError(
            f"no process could be started for the local model '{launch.alias}': {error.strerror or error}",
            resource_type="process",
            hint="Close other programs, or raise the limit of processes or memory.",
        ) from None
