"""The tool `http-request`."""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from llmspell_core.context import ExecutionContext
from llmspell_core.errors import ValidationError
from llmspell_core.policy import HttpResponse
from llmspell_core.tool import SecurityRequirements, Tool, ToolResult
from llmspell_tools_web.retry import Retry, with_retries
from llmspell_tools_web.returns import HTTP_REQUEST
from llmspell_tools_web.window import SlidingWindow

Method = Literal["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"]
REQUESTS_PER_MINUTE = 60
WIDE = ("utf-16", "utf-32", "utf_16", "utf_32")
TEXT_TYPES = ("text/", "application/xml", "application/javascript", "application/x-www-form-urlencoded")


def _empty_table(value: Any) -> Any:
    """An empty table of Lua arrives as a list."""
    return {} if value is None or value == [] else value


def _upper(word: Any) -> Any:
    return word.upper() if isinstance(word, str) else word


Headers = Annotated[dict[str, str], BeforeValidator(_empty_table)]


class Auth(BaseModel):
    """Credentials; `repr=False` keeps them out of whatever prints the parameters."""

    type: Literal["none", "basic", "bearer", "api_key", "custom"] = "none"
    username: str | None = Field(None, description="For basic.")
    password: str | None = Field(None, description="For basic.", repr=False)
    token: str | None = Field(None, description="For bearer.", repr=False)
    key: str | None = Field(None, description="For api_key.", repr=False)
    header_name: str = Field("X-API-Key", description="For api_key: the header that carries it.")
    headers: Headers = Field(default_factory=dict, description="For custom: headers to send.", repr=False)

    @model_validator(mode="after")
    def _complete(self) -> Auth:
        needed = {"basic": ("username", "password"), "bearer": ("token",), "api_key": ("key",), "custom": ("headers",)}
        for name in needed.get(self.type, ()):
            if not getattr(self, name) and name != "password":
                message = f"auth of type {self.type} needs '{name}'"
                raise ValueError(message)
        return self

    def as_headers(self) -> dict[str, str]:
        if self.type == "basic":
            pair = f"{self.username}:{self.password or ''}".encode()
            return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
        if self.type == "bearer":
            return {"Authorization": f"Bearer {self.token}"}
        if self.type == "api_key":
            return {self.header_name: str(self.key)}
        return dict(self.headers) if self.type == "custom" else {}


class Parameters(BaseModel):
    model_config = ConfigDict(coerce_numbers_to_str=True)

    input: str = Field(description="The URL, with http:// or https://.")
    method: Annotated[Method, BeforeValidator(_upper)] = Field("GET", description="The HTTP method.")
    headers: Headers = Field(default_factory=dict, description="Request headers by name.")
    body: Any = Field(None, description="The request body: text is sent as it is, any other value as JSON.")
    body_as: Literal["auto", "base64"] = Field(
        "auto", description="How the answer's body is given: by its content type, or its bytes as base64."
    )
    auth: Annotated[Auth, BeforeValidator(_empty_table)] = Field(default_factory=Auth, description="Credentials.")
    retry: Annotated[Retry, BeforeValidator(_empty_table)] = Field(
        default_factory=Retry, description="When and how often to try again."
    )

    @model_validator(mode="before")
    @classmethod
    def _accept_url(cls, data: Any) -> Any:
        if isinstance(data, dict) and "url" in data and "input" not in data:
            return {"input" if name == "url" else name: value for name, value in data.items()}
        return data

    @model_validator(mode="after")
    def _one_authorization(self) -> Parameters:
        given = {name.lower() for name in self.headers}
        twice = [name for name in self.auth.as_headers() if name.lower() in given]
        if twice:
            message = f"the header {twice[0]} is in 'headers' and follows from 'auth': give one of them"
            raise ValueError(message)
        return self

    @property
    def may_repeat(self) -> bool:
        """Whether sending it twice does no harm, or was asked for."""
        return self.method not in {"POST", "PATCH"} or bool(self.retry.model_fields_set)


class Settings(BaseModel):
    rate_limit_per_minute: int = Field(REQUESTS_PER_MINUTE, gt=0, description="Requests of one run in a minute.")


class HttpRequest(Tool[Parameters]):
    name = "http-request"
    description = "Sends an HTTP request to a URL and returns status, headers and body."
    parameters = Parameters
    settings = Settings
    returns = HTTP_REQUEST
    category = "api"
    security_requirements = SecurityRequirements(network_permissions=("*",))
    aliases = ("http-requester",)

    def __init__(self) -> None:
        self._window = SlidingWindow(60.0)

    async def run(self, params: Parameters, ctx: ExecutionContext) -> ToolResult:
        limit = Settings.model_validate(ctx.settings).rate_limit_per_minute
        options = _options(params)

        async def send() -> HttpResponse:
            self._window.admit(limit)
            return await ctx.http.request(params.method, params.input, **options)

        response = await with_retries(send, params.retry, may_repeat=params.may_repeat)
        return _result(params, response)


def _options(params: Parameters) -> dict[str, Any]:
    headers = params.headers | params.auth.as_headers()
    if params.body is None:
        return {"headers": headers}
    if not isinstance(params.body, str):
        return {"headers": headers, "json": params.body}
    if not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = "text/plain; charset=utf-8"
    return {"headers": headers, "content": params.body}


def _result(params: Parameters, response: HttpResponse) -> ToolResult:
    method = params.method
    body, body_type = _body(response) if params.body_as == "auto" else (_base64(response.content), "binary")
    result = {
        "status_code": response.status_code,
        "headers": _headers(response),
        "body": body,
        "body_type": body_type,
        "timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
    }
    return ToolResult(
        result,
        operation="http-requester",
        message=f"{method} {response.url}: {response.status_code} {_phrase(response.status_code)}".rstrip(),
        metadata={"method": method, "url": response.url},
    )


def _headers(response: HttpResponse) -> dict[str, str | list[str]]:
    """By name; cookies cannot be joined, so that they are a list, also when there is one."""
    found: dict[str, str | list[str]] = dict(response.headers)
    return found | {"set-cookie": response.cookies} if response.cookies else found


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in set(HTTPStatus) else ""


def _body(response: HttpResponse) -> tuple[Any, Literal["json", "text", "binary"]]:
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json" or kind.endswith("+json"):
        try:
            return response.json(), "json"
        except ValidationError:
            return response.text, "text"
    if not response.content or kind.startswith(TEXT_TYPES) or kind.endswith("+xml") or not kind:
        return _text_or_binary(response)
    return _base64(response.content), "binary"


def _base64(content: bytes) -> str:
    return binascii.b2a_base64(content, newline=False).decode()


def _text_or_binary(response: HttpResponse) -> tuple[str, Literal["text", "binary"]]:
    if b"\0" in response.content and not response.encoding.lower().startswith(WIDE):
        return _base64(response.content), "binary"
    return response.text, "text"
