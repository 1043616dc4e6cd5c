"""What the tools of this distribution answer."""

from __future__ import annotations

from llmspell_core.returns import Returns

PATH = {"path": ("string", "As it was given.")}
MOVED = {"source": ("string", "As it was given."), "target": ("string", "As it was given.")}
ENTRY = {
    "type": ("string", "`file`, `directory`, `symlink` or `unknown`."),
    "size": ("integer", "Bytes."),
    "modified": ("string", "RFC 3339."),
}

FILE_OPERATIONS = {
    "read": Returns(
        {
            "text": ("string", "The content, without a byte order mark. `text` of the answer is the same."),
            "input": ("string", "The same."),
            "size": ("integer", "Bytes of the file."),
            "bom?": ("boolean", "true where the file begins with a byte order mark."),
        },
        "Files that are not UTF-8 are an error.",
    ),
    "write": Returns(
        {
            "path": ("string", "As it was given."),
            "size?": ("integer", "Bytes that were written."),
            "error_type?": ("string", "After a failure: `validation_error` or `execution_error`."),
        },
        "A new file takes the old one's place: it keeps the permissions, and a link that leads to the file still does; "
        "another name of the old file (a hard link) keeps the old content. Missing folders are made. A refusal by the "
        "policy is an error.",
        {"operation": "write", "path": "notes.txt", "input": "hello"},
        {"path": "notes.txt", "size": 5},
        answers_failure=True,
    ),
    "append": Returns(
        {"appended_size": ("integer", "Bytes that were added.")},
        example={"operation": "append", "path": "log.txt", "input": "größe"},
        shows={"appended_size": 7},
    ),
    "delete": Returns(PATH),
    "create_dir": Returns(
        {**PATH, "recursive": ("boolean", "")},
        example={"operation": "create_dir", "path": "made"},
        shows={"path": "made", "recursive": False},
    ),
    "list_dir": Returns(
        {
            "entries": ("array", "By name; in `text` one line each, with what is no visible character written out."),
            "entries.name": ("string", "U+FFFD stands for what is no UTF-8."),
            "entries.path": ("string", "Absolute."),
            **{f"entries.{name}": spec for name, spec in ENTRY.items()},
            "count": ("integer", ""),
        },
        "More entries than `tools.file_operations.max_dir_entries` are an error.",
        {"operation": "list_dir", "path": "."},
        {"entries": [], "count": 0},
    ),
    "copy": Returns(MOVED, "A new file has the permissions of the source, an existing one keeps its own."),
    "move": Returns(MOVED, "Permissions and times stay, also on the way to another disk."),
    "metadata": Returns(
        {
            "path": ("string", "Absolute."),
            **ENTRY,
            "readonly": ("boolean", "Whether nobody may write it."),
            "created": ("string", "RFC 3339."),
            "accessed": ("string", "RFC 3339."),
        },
        "Links are followed.",
        {"operation": "metadata", "path": "."},
        {"type": "directory"},
    ),
    "exists": Returns(
        {"exists": ("boolean", "false, too, for a link that leads nowhere.")},
        example={"operation": "exists", "path": "nothing.txt"},
        shows={"exists": False},
    ),
}
