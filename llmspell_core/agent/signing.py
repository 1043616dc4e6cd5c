"""The signature of saved runs: whoever decides about one must be able to believe what it says.

The key belongs to one user and lies beside the records, readable by nobody else. It is made when the first run is saved.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llmspell_core import private
from llmspell_core.errors import SecurityError, StorageError, ValidationError
from llmspell_core.messages import new_id, plain

__all__ = ["canonical", "check_signature", "signed"]

BYTES = 32
NEW_RUN = "Begin a new run: what this one waits for cannot be believed."


def canonical(value: Any) -> str:
    """One text for equal data."""
    return json.dumps(plain(value), sort_keys=True, ensure_ascii=True, separators=(",", ":"))


def signed(data: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """`data` with the signature of this user, whose key is made in `folder` if there is none.

    Raises: StorageError, SecurityError about the key.
    """
    key = _key(folder) or _new_key(folder)
    return {**data, "signature": {"key": _name(key), "mac": _mac(key, data)}}


def check_signature(data: Mapping[str, Any], folder: Path) -> None:
    """Raises: SecurityError when it is not what this user's llmspell saved. StorageError: the key is gone."""
    given = data.get("signature")
    if not isinstance(given, Mapping) or not all(isinstance(given.get(name), str) for name in ("key", "mac")):
        raise ValidationError(
            "this record of a run is not signed", hint=f"It was saved by an older version, or edited. {NEW_RUN}"
        )
    key = _key(folder)
    if key is None:
        raise StorageError(
            f"the key {folder / 'key'} is gone, without which no saved run can be believed",
            operation="read",
            hint="Restore it from a backup, or begin a new run.",
        )
    if not hmac.compare_digest(given["key"].encode(), _name(key).encode()):
        raise _unbelievable(f"the record was signed with another key than {folder / 'key'}", NEW_KEY)
    if not hmac.compare_digest(given["mac"].encode(), _mac(key, data).encode()):
        raise _unbelievable("the record was changed after it was saved", NEW_RUN)


NEW_KEY = "Another user or machine saved it, or the key was replaced since. Decide there, or begin a new run."


def _unbelievable(message: str, hint: str) -> SecurityError:
    return SecurityError(message, violation_type="record_signature", hint=hint)


def _mac(key: bytes, data: Mapping[str, Any]) -> str:
    text = canonical({name: value for name, value in data.items() if name != "signature"})
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def _name(key: bytes) -> str:
    return hashlib.sha256(b"llmspell key " + key).hexdigest()[:16]


def _key(folder: Path) -> bytes | None:
    path = folder / "key"
    try:
        number = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(number, "rb") as file:
            status = os.fstat(file.fileno())
            key = file.read(BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"cannot read the key {path}: {error.strerror}", operation="read") from None
    own = not hasattr(os, "geteuid") or (status.st_uid == os.geteuid() and not stat.S_IMODE(status.st_mode) & 0o077)
    if not own:
        hint = f"If nobody else used it: chmod 600 {path}. Else remove it and begin the runs that wait anew."
        raise _unbelievable(f"others than you can read or change the key {path}", hint)
    if len(key) != BYTES:
        raise StorageError(
            f"the key {path} is damaged", operation="read", hint="Restore it from a backup, or remove it."
        )
    return key


def _new_key(folder: Path) -> bytes:
    """Whole or not at all; of several processes one makes it, and all get the same."""
    import secrets

    path, partial = folder / "key", folder / f".key.{new_id('part')}"
    try:
        private.own_folder(folder)
        with os.fdopen(private.create(partial), "wb") as file:
            file.write(secrets.token_bytes(BYTES))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(partial, path)
        except FileExistsError:
            pass
        except OSError:  # a file system without hard links
            partial.replace(path)
        partial.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"cannot write the key {path}: {error.strerror}", operation="write") from None
    made = _key(folder)
    if made is None:
        raise StorageError(f"the key {path} was removed meanwhile", operation="write", hint="Try again.")
    return made
