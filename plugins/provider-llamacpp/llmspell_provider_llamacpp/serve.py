"""The child process: loads one GGUF file and serves it with the OpenAI protocol on a free loopback port.

Run as `python -m llmspell_provider_llamacpp.serve`. The first line on stdin is a JSON object with `backend`, `model`
(path), `alias`, `api_key`, `context_size`, `threads`, `parallel`, `gpu_layers` (None: the library decides). It answers
with one JSON line on stdout: `{"url"}` or `{"error"}`. When stdin closes, because the parent closed it or died in
whatever way, the process ends.

Imports nothing of llmspell: the child shall be small and start quickly.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, TextIO

__all__ = ["main"]

PR_SET_PDEATHSIG = 1
SIGKILL = 9
PROMPT_CACHE_MIB = 256  # the library would take up to 8 GiB


def main() -> None:
    die_with_parent()
    answer = take_stdout()
    config = json.loads(read_line())
    threading.Thread(target=end_with_stdin, daemon=True).start()
    serve = {"xllamacpp": serve_xllamacpp, "llama-cpp-python": serve_llama_cpp}[config["backend"]]
    try:
        serve(config, answer)
    except Exception as error:  # noqa: BLE001 - whatever the library raises, the parent must hear of it
        tell(answer, {"error": f"{type(error).__name__}: {error}"})
    os._exit(1)  # the thread that reads stdin would be in the way of an orderly end


def die_with_parent() -> None:
    """On Linux the kernel ends us with the parent, even while native code keeps the interpreter busy."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, SIGKILL)


def take_stdout() -> TextIO:
    """The real stdout for our one line; what the library prints goes to stderr."""
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answer


def read_line() -> bytes:
    """The first line of stdin, unbuffered: what follows belongs to the watching thread."""
    line = b""
    while not line.endswith(b"\n"):
        line += os.read(0, 1) or b"\n"
    return line


def end_with_stdin() -> None:
    while os.read(0, 1):
        continue
    os._exit(0)


def tell(answer: TextIO, data: dict[str, Any]) -> None:
    answer.write(json.dumps(data) + "\n")
    answer.flush()


def serve_xllamacpp(config: dict[str, Any], answer: TextIO) -> None:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = config["model"]
    params.model_alias = {config["alias"]}
    params.api_keys = [config["api_key"]]
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_ctx = config["context_size"] * config["parallel"]
    params.n_parallel = config["parallel"]
    params.cpuparams.n_threads = config["threads"]
    params.cpuparams_batch.n_threads = config["threads"]
    params.n_threads_http = config["parallel"] + 2
    params.cache_ram_mib = PROMPT_CACHE_MIB
    params.endpoint_slots = params.ui = params.warmup = False
    if config["gpu_layers"] is not None:
        params.n_gpu_layers = config["gpu_layers"]
    server = xllamacpp.Server(params)
    tell(answer, {"url": f"{server.listening_address}/v1"})
    threading.Event().wait()


def serve_llama_cpp(config: dict[str, Any], answer: TextIO) -> None:
    import asyncio
    import socket

    import llama_cpp
    import uvicorn
    from llama_cpp import llama_grammar
    from llama_cpp.server.app import create_app
    from llama_cpp.server.settings import ModelSettings, ServerSettings

    layers = -1 if config["gpu_layers"] is None else config["gpu_layers"]
    model = ModelSettings(
        model=config["model"],
        model_alias=config["alias"],
        n_ctx=config["context_size"],
        n_threads=config["threads"],
        n_threads_batch=config["threads"],
        n_gpu_layers=layers,
        logits_all=False,
        verbose=True,  # why a file cannot be loaded is only in the log
    )
    # interrupt_requests would let a second agent's request cut off the first one's answer
    server = ServerSettings(host="127.0.0.1", api_key=config["api_key"], interrupt_requests=False)
    with_usage(llama_cpp.Llama)
    with_json_strings(llama_grammar)
    app = create_app(server_settings=server, model_settings=[model])
    listener = socket.create_server(("127.0.0.1", 0))
    tell(answer, {"url": f"http://127.0.0.1:{listener.getsockname()[1]}/v1"})
    runner = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    asyncio.run(runner.serve([listener]))


def with_json_strings(grammar: Any) -> None:
    """The library's grammar lets a bare line feed into a string, which is not JSON; its sibling's grammar does not."""
    rules = grammar.PRIMITIVE_RULES
    escape = r'"\\" (["\\/bfnrt] | "u" [0-9a-fA-F] [0-9a-fA-F] [0-9a-fA-F] [0-9a-fA-F])'
    rules["char"] = type(rules["char"])(r'[^"\\\x7F\x00-\x1F] | ' + escape, [])


def with_usage(llama_class: Any) -> None:
    """Let the library's streams end as the protocol has it: with the token counts, or with an error that is told.

    By itself it just ends a stream whose request turns out to be impossible.
    """
    create = llama_class.create_chat_completion

    def create_with_usage(llama: Any, *args: Any, **kwargs: Any) -> Any:
        if not kwargs.get("stream"):
            return create(llama, *args, **kwargs)
        return told(lambda: counted(llama, create(llama, *args, **kwargs)))

    llama_class.create_chat_completion = create_with_usage


def told(events: Callable[[], Iterator[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    try:
        yield from events()
    except Exception as error:  # noqa: BLE001 - whatever it is, the client must hear of it
        yield {"error": {"message": str(error), "type": type(error).__name__}}


def counted(llama: Any, events: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Each token made is one event. All were evaluated too, but for the last one when the limit ended the answer."""
    last: dict[str, Any] = {}
    made, evaluated = 0, 0
    for event in events:
        last = event
        made += sum(bool(choice["delta"].get("content")) for choice in event["choices"])
        evaluated = llama.n_tokens + any(choice["finish_reason"] == "length" for choice in event["choices"])
        yield event
    usage = {"prompt_tokens": evaluated - made, "completion_tokens": made, "total_tokens": evaluated}
    yield last | {"choices": [], "usage": usage}


if __name__ == "__main__":
    main()
