"""The tool `file-operations`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, Field, model_validator

from llmspell_core.context import ExecutionContext
from llmspell_core.errors import LLMSpellError, NotFoundError, SecurityError, ValidationError
from llmspell_core.tool import SecurityLevel, SecurityRequirements, Tool, ToolResult
from llmspell_tools_filesystem.returns import FILE_OPERATIONS

SYNONYMS = {
    "mkdir": "create_dir",
    "ls": "list_dir",
    "dir": "list_dir",
    "list": "list_dir",
    "cp": "copy",
    "mv": "move",
    "rename": "move",
    "stat": "metadata",
    "info": "metadata",
}
BYTE_ORDER_MARK = "\ufeff"  # how a program marked the file, no part of what it says
OTHER_NAMES = {"content": "input", "source": "source_path", "target": "target_path", "destination": "target_path"}

T = TypeVar("T")
Operation = Literal["read", "write", "append", "delete", "create_dir", "list_dir", "copy", "move", "metadata", "exists"]


def _canonical(word: Any) -> Any:
    return SYNONYMS.get(word.lower(), word.lower()) if isinstance(word, str) else word


class Parameters(BaseModel):
    operation: Annotated[Operation, BeforeValidator(_canonical)] = Field(
        description="What to do. read and write whole text files in UTF-8; append adds to the end; delete removes one "
        "file; create_dir and list_dir are for directories; copy and move need source_path and target_path; metadata "
        "tells type, size and times; exists answers yes or no (no for a link that leads nowhere)."
    )
    path: str | None = Field(None, description="The file or directory; relative paths start at the working directory.")
    input: str | None = Field(None, description="For write and append: the text.")
    source_path: str | None = Field(None, description="For copy and move: what to copy or move.")
    target_path: str | None = Field(None, description="For copy and move: its new path, name included.")
    recursive: bool = Field(
        False, description="For create_dir: make missing parents too. For list_dir: go into subdirectories."
    )

    @model_validator(mode="before")
    @classmethod
    def _accept_other_names(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        renamed = {name: OTHER_NAMES.get(name, name) for name in data}
        return {renamed[name] if renamed[name] not in data else name: value for name, value in data.items()}

    def need(self, field: Literal["path", "input", "source_path", "target_path"]) -> str:
        """The parameter's value. Raises: ValidationError when this operation cannot do without it."""
        value = getattr(self, field)
        if field == "source_path" and value is None:
            value = self.path
        if value is None:
            raise ValidationError(f"file-operations: '{field}' is required for {self.operation}", field=field)
        return str(value)


class FileOperations(Tool[Parameters]):
    name = "file-operations"
    description = "Reads, writes, appends, deletes, copies and moves files, makes and lists directories."
    parameters = Parameters
    returns = FILE_OPERATIONS
    category = "filesystem"
    security_level = SecurityLevel.PRIVILEGED
    security_requirements = SecurityRequirements(file_permissions=("*",))
    example = {"operation": "exists", "path": "."}

    async def run(self, params: Parameters, ctx: ExecutionContext) -> ToolResult:
        return await OPERATIONS[params.operation](params, ctx)


async def _with_room(path: str, ctx: ExecutionContext, work: Callable[[], Awaitable[T]]) -> T:
    """`work`, after making the directory that a file is to lie in, where it is missing; scripts write where none is.

    It is tried first, so that a refusal names the file, and what only one file is allowed for needs no more.
    """
    try:
        return await work()
    except NotFoundError as error:
        if error.what != "directory":
            raise
        await ctx.files.mkdir(str(Path(path).parent), parents=True, exist_ok=True)
        return await work()


async def _is_directory(path: str, ctx: ExecutionContext) -> bool:
    return await ctx.files.exists(path) and (await ctx.files.stat(path)).type == "directory"


async def _read(params: Parameters, ctx: ExecutionContext) -> ToolResult:
    path = params.need("path")
    whole = await ctx.files.read_text(path)
    size = len(whole.encode())
    text = whole.removeprefix(BYTE_ORDER_MARK)
    marked = {"bom": True} if whole.startswith(BYTE_ORDER_MARK) else {}
    return ToolResult(
        {"text": text, "input": text, "size": size, **marked},
        message=f"Read {size} bytes from {path}" + (", without the byte order mark" if marked else ""),
        metadata={"file_path": path, "file_size": size},
        text=text,
    )


async def _write(params: Parameters, ctx: ExecutionContext) -> ToolResult:
    """A failure is returned, because scripts that write check `success` and carry on. A refusal is none of those."""
    path, text = params.need("path"), params.need("input")
    try:
        entry = await _with_room(path, ctx, lambda: ctx.files.write_text(path, text))
    except SecurityError:
        raise
    except LLMSpellError as error:
        return _failed_write(path, error)
    return _done(f"Wrote {entry.size} bytes to {path}", {"path": path, "size": entry.size}, path, entry.size)


def _failed_write(path: str, error: LLMSpellError) -> ToolResult:
    kind = "validation_error" if isinstance(error, ValidationError) else "execution_error"
    details = {key: value for key, value in error.to_dict().items() if key != "message"}
    made = ToolResult({"path": path, "error_type": kind}, success=False)
    made.error = {"message": error.message, "code": kind, "details": details}
    made.message = f"Could not write {path}: {error.message}"
    made.text = made.message + (f"\n{error.hint}" if error.hint else "")
    return made


async def _append(params: Parameters, ctx: ExecutionContext) -> ToolResult:
    path, data = params.need("path"), params.need("input")
    entry = await _with_room(path, ctx, lambda: ctx.files.append(path, data))
    size = len(data.encode())
    return _done(f"Appended {size} bytes to {path}", {"appended_size": size}, path, entry.size)


async def _delete(params: Parameters, ctx: ExecutionContext) -> ToolResult:
    path = params.need("path")
    await ctx.files.delete(path)
    return _done(f"Deleted {path}", {"path": path}, path)


async def _create_dir(params: Parameters, ctx: ExecutionContext) -> ToolResult:
    path = params.need("path")
    if not await _is_directory(path, ctx):  # a second run of a script finds what the first one made
        await ctx.files.mkdir(path, parents=params.recursive)
    return _done(f"Created directory {path}", {"path": path, "recursive": params.recursive}, path)


async def _list_dir(params: Parameters, ctx: ExecutionContext) -> ToolResult:
    path = params.need("path")
    found = [entry.to_dict() for entry in await ctx.files.list(path, recursive=params.recursive)]
    entries = [{key: entry[key] for key in ("name", "path", "type", "size", "modified")} for entry in found]
    made = _done(f"Found {len(entries)} entries in {path}", {"entries": entries, "count": len(entries)}, path)
    shown = "path" if params.recursive else "name"
    # A model that asked for the listing sees only the text.
    made.text = "\n".join([f"{made.message}", *(f"{e['type']}\t{e['size']}\t{_one_line(e[shown])}" for e in entries)])
    return made


def _one_line(name: str) -> str:
    """A name may hold line breaks, which would forge further entries: what is no visible character is written out."""
    if name.isprintable():
        return name
    return "".join(c if c.isprintable() and c != "\\" else c.encode("unicode_escape").decode("ascii") for c in name)


async def _copy(params: Parameters, ctx: ExecutionContext) -> ToolResult:
    source, target = params.need("source_path"), params.need("target_path")
    entry = await _with_room(target, ctx, lambda: ctx.files.copy(source, target))
    return _done(f"Copied {source} to {target}", {"source": source, "target": target}, target, entry.size)


async def _move(params: Parameters, ctx: ExecutionContext) -> ToolResult:
    source, target = params.need("source_path"), params.need("target_path")
    await _with_room(target, ctx, lambda: ctx.files.move(source, target))
    return _done(f"Moved {source} to {target}", {"source": source, "target": target}, target)


async def _metadata(params: Parameters, ctx: ExecutionContext) -> ToolResult:
    path = params.need("path")
    entry = await ctx.files.stat(path)
    facts = {key: value for key, value in entry.to_dict().items() if key != "name"}
    return _done(f"{path}: {entry.type}, {entry.size} bytes, modified {facts['modified']}", facts, path, entry.size)


async def _exists(params: Parameters, ctx: ExecutionContext) -> ToolResult:
    path = params.need("path")
    found = await ctx.files.exists(path)
    return _done(f"{path} {'exists' if found else 'does not exist'}", {"exists": found}, path)


def _done(message: str, result: dict[str, Any], path: str, size: int | None = None) -> ToolResult:
    metadata: dict[str, Any] = {"file_path": path} | ({} if size is None else {"file_size": size})
    return ToolResult(result, message=message, metadata=metadata, text=message)


OPERATIONS: dict[Operation, Callable[[Parameters, ExecutionContext], Awaitable[ToolResult]]] = {
    "read": _read,
    "write": _write,
    "append": _append,
    "delete": _delete,
    "create_dir": _create_dir,
    "list_dir": _list_dir,
    "copy": _copy,
    "move": _move,
    "metadata": _metadata,
    "exists": _exists,
}
