"""The tool keeps the contract of a tool."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from llmspell_tools_web.http_request import HttpRequest
from pytest_httpserver import HTTPServer

from llmspell_core.testing import ToolContract


class TestHttpRequestContract(ToolContract):
    tool_class = HttpRequest
    settings = {"tools": {"http_request": {"allowed_hosts": ["127.0.0.1"]}}}

    @pytest.fixture(autouse=True)
    def _server(self, httpserver: HTTPServer) -> None:
        httpserver.expect_request("/").respond_with_json({"ok": True})
        self.url = f"http://127.0.0.1:{httpserver.port}/"

    def make_example(self, folder: Path) -> Mapping[str, Any]:
        return {"input": self.url, "method": "GET"}
