"""A VM whose scripts are Python: what a worker could do if its first fence had fallen."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import Any


class HostileVM:
    raw = False
    encoding = "utf-8"

    def __init__(self, boot: dict[str, Any], host: Any) -> None:
        if boot["options"].get("broken"):
            raise RuntimeError("this engine cannot start")
        self.host = host
        self.callbacks: dict[int, Any] = {}
        self.mark = boot["mark"]

    def run(self, source: str, name: str, args: dict[str, Any], mode: str) -> dict[str, Any]:
        def raw(data: bytes) -> None:
            os.write(self.host._channel._write_fd, data)

        def frame(text: str) -> None:
            raw(len(text).to_bytes(4, "big") + text.encode())

        scope: dict[str, Any] = {
            "host": self.host, "os": os, "json": json, "time": time, "signal": signal,
            "fn": lambda number: {f"$fn{self.mark}": number}, "mark": self.mark, "raw": raw,
            "frame": frame, "callbacks": self.callbacks, "args": args,
        }  # fmt: skip
        exec(source, scope)
        return {"value": scope.get("result"), "display": None}

    def invoke(self, invocation: int, callback: int, args: list[Any]) -> Any:
        return self.callbacks[callback](*args)

    def complete(self, text: str) -> list[str]:
        return [text + "x"]
