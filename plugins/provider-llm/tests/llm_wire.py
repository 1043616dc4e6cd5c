# mypy: ignore-errors
"""A model plugin for `llm`, as its authors write them: an async and a blocking model that speak to a server."""

import json

import httpx2
import llm
from llm.parts import StreamEvent
from pydantic import Field


@llm.hookimpl
def register_models(register):
    register(Blocking("test-model"), Awaited("test-model"), aliases=("wire",))
    register(Blocking("test-blocking"))
    register(Silent())


class Shared:
    can_stream = True
    supports_tools = True
    supports_schema = True
    needs_key = "wire"
    key_env_var = "WIRE_KEY"
    attachment_types = frozenset({"image/png"})

    class Options(llm.Options):
        temperature: float | None = Field(default=None)
        max_tokens: int | None = Field(default=None)
        stop: list[str] | None = Field(default=None)
        seed: int | None = Field(default=None)
        top_k: int | None = Field(default=None)

    def __init__(self, model_id):
        self.model_id = model_id
        self.api_base = "http://127.0.0.1:9"

    def request(self, prompt, key):
        body = {k: v for k, v in prompt.options.model_dump().items() if v is not None}
        body |= {"model": self.model_id, "messages": [m.to_dict() for m in prompt.messages], "schema": prompt.schema}
        body["tools"] = [{"name": tool.name, "parameters": tool.input_schema} for tool in prompt.tools]
        return {"json": body, "headers": {"Authorization": f"Bearer {key}"}, "timeout": 60}

    def read(self, line, response):
        if not line.startswith("data: {"):
            return
        event = json.loads(line[6:])
        choice = event["choices"][0]
        if choice.get("finish_reason"):
            usage = event["usage"]
            response.set_usage(input=usage["prompt_tokens"], output=usage["completion_tokens"])
            response.response_json = {"finish_reason": choice["finish_reason"], "object": event["object"]}
        for call in choice["delta"].get("calls", ()):
            response.add_tool_call(llm.ToolCall(call["name"], call["arguments"], call["id"]))
            yield StreamEvent("tool_call_name", call["name"], tool_call_id=call["id"])
            yield StreamEvent("tool_call_args", json.dumps(call["arguments"]), tool_call_id=call["id"])
        if choice["delta"].get("content"):
            yield choice["delta"]["content"]


class Blocking(Shared, llm.KeyModel):
    def execute(self, prompt, stream, response, conversation, key):
        print("a plugin that talks")
        response.response_json = {"object": "chat.completion.chunk"}
        with httpx2.stream(
            "POST", f"{self.api_base}/chat", trust_env=False, follow_redirects=True, **self.request(prompt, key)
        ) as reply:
            if reply.is_error:
                reply.read()
            reply.raise_for_status()
            for line in reply.iter_lines():
                yield from self.read(line, response)


class Awaited(Shared, llm.AsyncKeyModel):
    async def execute(self, prompt, stream, response, conversation, key):
        print("a plugin that talks")
        response.response_json = {"object": "chat.completion.chunk"}
        client = httpx2.AsyncClient(trust_env=False)
        asked = self.request(prompt, key)
        async with client, client.stream("POST", f"{self.api_base}/chat", **asked) as reply:
            if reply.is_error:
                await reply.aread()
            reply.raise_for_status()
            async for line in reply.aiter_lines():
                for told in self.read(line, response):
                    yield told


class Silent(llm.Model):
    """As the oldest plugins are: no options, no usage, the conversation in place of messages."""

    model_id = "test-old"

    def execute(self, prompt, stream, response, conversation):
        said = [f"{turn.prompt.prompt}={turn.text()}" for turn in conversation.responses]
        yield f"{prompt.system}|{','.join(said)}|{prompt.prompt}"
