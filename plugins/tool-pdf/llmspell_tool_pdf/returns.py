"""What the tools of this distribution answer."""

from __future__ import annotations

from llmspell_core.returns import Returns

NESTED = {
    "result": ("object", "The same fields once more, as older scripts read them."),
    "operation": ("string", ""),
    "success": ("boolean", ""),
    "metadata": ("object", ""),
    "file_path": ("string", "As it was given."),
}
SAID = {
    "fields?": ("object", "Values of the form's fields by name; each also stands in the text, as `name: value`."),
    "problems?": (
        "array",
        "Pages that could not be read, or not as a whole: `page`, `problem`. `message` says it, too.",
    ),
}
TEXT = {"text": ("string", ""), "truncated": ("boolean", "Whether it was cut at 1 MB."), **SAID}
TEXT_ABOUT = "Ligatures are written out as letters. Text that is replaced for readers only (`ActualText`) is not read."

PDF_PROCESSOR = {
    "extract_text": Returns({**TEXT, "length": ("integer", "Unicode code points."), **NESTED}, TEXT_ABOUT),
    "extract_pages": Returns(
        {
            **TEXT,
            "start_page": ("integer", "From 1."),
            "end_page": ("integer", ""),
            "page_count": ("integer", ""),
            **NESTED,
        },
        TEXT_ABOUT,
    ),
    "extract_metadata": Returns(
        {
            "page_count": ("integer", ""),
            "encrypted": ("boolean", ""),
            "pdf_version": ("string or null", ""),
            **dict.fromkeys(
                ("title", "author", "subject", "keywords", "creator", "producer"),
                ("string or null", "As the document says."),
            ),
            **dict.fromkeys(
                ("created", "changed"), ("string or null", "ISO 8601; what is no date is the text that stands there.")
            ),
            "file_size": ("integer", "Bytes."),
            "file_name": ("string", ""),
            "file_extension": ("string", ""),
            "modified": ("string or null", "When the file was changed."),
            "note": ("string", ""),
            "problems?": ("array", "As for extract_text."),
            **{name: spec for name, spec in NESTED.items() if name != "file_path"},
        }
    ),
}
