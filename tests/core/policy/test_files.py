"""Files: what is allowed works on real files, what is not cannot be reached by any way round."""

from __future__ import annotations

import errno
import os
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from llmspell_core.errors import (
    LLMSpellError,
    NotFoundError,
    ResourceLimitError,
    SecurityError,
    StorageError,
    ValidationError,
)
from llmspell_core.policy import Files, Policy, PolicySettings


@pytest.fixture
def room(tmp_path: Path) -> Path:
    """The one directory that is allowed; `outside` beside it is not."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.txt").write_text("secret")
    room = tmp_path / "room"
    room.mkdir()
    return room


def files_in(room: Path, **settings: Any) -> Files:
    allowed = settings.pop("allowed_paths", (str(room),))
    return Files(Policy(PolicySettings(working_directory=str(room), allowed_paths=allowed, **settings)))


async def test_what_is_written_is_read_back(room: Path) -> None:
    files = files_in(room)
    entry = await files.write_text("naïve 文件 🎉.txt", "größe\n")
    assert entry.size == len("größe\n".encode())
    assert await files.read_text("naïve 文件 🎉.txt") == "größe\n"
    assert (room / "naïve 文件 🎉.txt").read_text(encoding="utf-8") == "größe\n"


@pytest.mark.parametrize("path", ["../outside/secret.txt", "a/../../outside/secret.txt", "/etc/passwd", "~/.profile"])
async def test_paths_outside_are_refused(room: Path, path: str) -> None:
    with pytest.raises(SecurityError) as caught:
        await files_in(room).read_bytes(path)
    assert caught.value.violation_type == "path_denied"
    assert path in caught.value.message
    assert "tools.file_operations.allowed_paths" in str(caught.value.hint)


async def test_rules_match_whole_components(room: Path) -> None:
    (room.parent / "room-service").mkdir()
    with pytest.raises(SecurityError):
        await files_in(room).write_text("../room-service/a.txt", "x")


@pytest.mark.parametrize("operation", ["read_bytes", "stat", "exists"])
async def test_a_link_to_a_file_outside_is_refused(room: Path, operation: str) -> None:
    (room / "link").symlink_to("../outside/secret.txt")
    with pytest.raises(SecurityError, match=r"really '.*outside"):
        await getattr(files_in(room), operation)("link")


async def test_a_link_to_a_directory_outside_is_refused_for_reading_and_writing(room: Path) -> None:
    (room / "link").symlink_to(room.parent / "outside")
    files = files_in(room)
    with pytest.raises(SecurityError):
        await files.read_text("link/secret.txt")
    with pytest.raises(SecurityError):
        await files.write_text("link/new.txt", "x")
    with pytest.raises(SecurityError):
        await files.list("link")
    assert not (room.parent / "outside" / "new.txt").exists()


async def test_a_link_that_leads_nowhere_yet_cannot_be_written_through(room: Path) -> None:
    (room / "link").symlink_to(room.parent / "outside" / "new.txt")
    with pytest.raises(SecurityError):
        await files_in(room).write_text("link", "x")
    assert not (room.parent / "outside" / "new.txt").exists()


async def test_a_link_within_the_room_is_followed_and_survives_a_write(room: Path) -> None:
    (room / "real.txt").write_text("old")
    (room / "link.txt").symlink_to("real.txt")
    await files_in(room).write_text("link.txt", "new")
    assert (room / "link.txt").is_symlink()
    assert (room / "real.txt").read_text() == "new"


@pytest.mark.skipif(sys.platform not in {"linux", "darwin"}, reason="only these tell where an open directory is")
async def test_a_directory_exchanged_for_a_link_after_the_check_is_noticed(
    room: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (room / "sub" / "deep").mkdir(parents=True)
    (room / "sub" / "deep" / "secret.txt").write_text("harmless")
    (room.parent / "outside" / "deep").mkdir()
    (room.parent / "outside" / "deep" / "secret.txt").write_text("secret")
    open_ = os.open

    def exchange_first(path: Any, *args: Any, **kwargs: Any) -> int:
        if str(path).endswith("deep") and not (room / "sub").is_symlink():
            (room / "sub").rename(room / "moved")
            (room / "sub").symlink_to(room.parent / "outside")
        return open_(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", exchange_first)
    with pytest.raises(SecurityError, match="outside"):
        await files_in(room).read_text("sub/deep/secret.txt")


async def test_a_file_that_keeps_turning_into_a_link_never_gives_the_secret_away(room: Path) -> None:
    target, stop = room / "changing", threading.Event()

    def change() -> None:
        while not stop.is_set():
            for make in (lambda: target.write_text("harmless"), lambda: target.symlink_to("../outside/secret.txt")):
                target.unlink(missing_ok=True)
                make()

    thread = threading.Thread(target=change)
    thread.start()
    try:
        seen = {await _outcome(files_in(room), "changing") for _ in range(300)}
    finally:
        stop.set()
        thread.join()
    assert "secret" not in seen
    assert seen <= {"", "harmless", "SecurityError", "NotFoundError", "ValidationError", "StorageError"}


async def _outcome(files: Files, path: str) -> str:
    try:
        return await files.read_text(path)
    except (SecurityError, NotFoundError, StorageError, ValidationError) as error:
        return type(error).__name__


async def test_denied_wins_over_allowed(room: Path) -> None:
    (room / "private").mkdir()
    files = files_in(room, denied_paths=(str(room / "private"),))
    with pytest.raises(SecurityError, match="denied_paths"):
        await files.write_text("private/a.txt", "x")
    await files.write_text("b.txt", "x")


async def test_everything_does_not_include_sensitive_places_until_they_are_named(room: Path) -> None:
    (room / "keys").mkdir()
    (room / "keys" / "id").write_text("key")
    with pytest.raises(SecurityError, match="sensitive"):
        await files_in(room, allowed_paths=("*",), sensitive_paths=(str(room / "keys"),)).read_text("keys/id")
    named = files_in(room, allowed_paths=("*", str(room / "keys")), sensitive_paths=(str(room / "keys"),))
    assert await named.read_text("keys/id") == "key"


async def test_nothing_allowed_means_nothing(room: Path) -> None:
    with pytest.raises(SecurityError, match="nothing"):
        await files_in(room, allowed_paths=()).list(".")


async def test_a_profile_without_file_access_says_so(room: Path) -> None:
    with pytest.raises(SecurityError, match="denies file access") as caught:
        await Files(Policy({"profile": "high"})).read_text("a")
    assert "runtime.security.allow_file_access" in str(caught.value.hint)


async def test_the_working_and_the_temporary_directory_are_allowed_by_default(room: Path) -> None:
    files = Files(Policy({"working_directory": str(room)}))
    await files.write_text("a.txt", "x")
    import tempfile

    assert await files.exists(tempfile.gettempdir())


async def test_a_failed_write_leaves_the_old_content_and_no_litter(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (room / "a.txt").write_text("old")

    def full(*args: Any, **kwargs: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(StorageError, match="No space left"):
        await files_in(room).write_text("a.txt", "new")
    assert (room / "a.txt").read_text() == "old"
    assert [p.name for p in room.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("atomic", [True, False])
async def test_a_rewritten_file_keeps_its_permissions(room: Path, atomic: bool) -> None:
    (room / "run.sh").write_text("old")
    (room / "run.sh").chmod(0o750)
    await files_in(room).write_text("run.sh", "new", atomic=atomic)
    assert (room / "run.sh").read_text() == "new"
    assert (room / "run.sh").stat().st_mode & 0o777 == 0o750


async def test_too_big_is_refused_for_reading_writing_appending_and_copying(room: Path) -> None:
    (room / "big").write_bytes(b"x" * 101)
    (room / "almost").write_bytes(b"x" * 90)
    files = files_in(room, max_file_size=100)
    for attempt in (
        files.read_bytes("big"),
        files.write_text("new", "x" * 101),
        files.append("almost", "x" * 20),
        files.copy("big", "copy"),
    ):
        with pytest.raises(ResourceLimitError, match="too big"):
            await attempt
    assert not (room / "copy").exists()
    assert (room / "almost").stat().st_size == 90


async def test_binary_content_is_no_text_but_bytes(room: Path) -> None:
    (room / "a.bin").write_bytes(b"\x00\xff\xfe\x80")
    with pytest.raises(ValidationError, match="not utf-8 text") as caught:
        await files_in(room).read_text("a.bin")
    assert caught.value.field == "path"
    assert await files_in(room).read_bytes("a.bin") == b"\x00\xff\xfe\x80"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
async def test_a_named_pipe_is_refused_instead_of_waited_for(room: Path) -> None:
    os.mkfifo(room / "pipe")
    with pytest.raises(ValidationError, match="not a regular file"):
        await files_in(room).read_bytes("pipe")
    with pytest.raises(ValidationError, match="not a regular file"):
        await files_in(room).write_text("pipe", "x")


@pytest.mark.parametrize("path", ["", "a\0b", "half \ud800"])
async def test_what_cannot_be_a_path_is_a_validation_error(room: Path, path: str) -> None:
    with pytest.raises(ValidationError) as caught:
        await files_in(room).read_bytes(path)
    assert caught.value.field == "path"


async def test_a_name_that_is_too_long_and_a_circle_of_links_are_explained(room: Path) -> None:
    (room / "a").symlink_to("b")
    (room / "b").symlink_to("a")
    with pytest.raises(ValidationError, match="leads nowhere"):
        await files_in(room).read_bytes("a")
    with pytest.raises(ValidationError, match="too long"):
        await files_in(room).write_text("x" * 300, "")


async def test_missing_files_and_directories_are_named(room: Path) -> None:
    files = files_in(room)
    with pytest.raises(NotFoundError, match=r"there is no 'nope\.txt'"):
        await files.read_text("nope.txt")
    with pytest.raises(NotFoundError, match=r"directory of 'no/a\.txt'"):
        await files.write_text("no/a.txt", "x")
    with pytest.raises(ValidationError, match="is a directory"):
        await files.read_text(".")


async def test_append_makes_and_extends(room: Path) -> None:
    files = files_in(room)
    await files.append("log", "one\n")
    await files.append("log", b"two\n")
    assert await files.read_text("log") == "one\ntwo\n"


async def test_delete_takes_files_and_links_but_not_directories(room: Path) -> None:
    (room / "a").write_text("x")
    (room / "link").symlink_to("../outside/secret.txt")
    (room / "dir").mkdir()
    files = files_in(room)
    await files.delete("a")
    await files.delete("link")
    with pytest.raises(ValidationError, match="is a directory"):
        await files.delete("dir")
    assert [p.name for p in room.iterdir()] == ["dir"]
    assert (room.parent / "outside" / "secret.txt").exists()


async def test_directories_are_made_with_parents_when_asked(room: Path) -> None:
    files = files_in(room)
    with pytest.raises(NotFoundError):
        await files.mkdir("a/b/c")
    await files.mkdir("a/b/c", parents=True)
    assert (room / "a" / "b" / "c").is_dir()
    with pytest.raises(ValidationError, match="exists already"):
        await files.mkdir("a/b/c")
    await files.mkdir("a/b/c", parents=True, exist_ok=True)


async def test_listing_shows_links_as_links_and_skips_what_is_denied(room: Path) -> None:
    (room / "dir").mkdir()
    (room / "dir" / "in.txt").write_text("12")
    (room / "closed").mkdir()
    (room / "closed" / "hidden.txt").write_text("x")
    (room / "link").symlink_to("../outside")
    files = files_in(room, denied_paths=(str(room / "closed"),))
    flat = {entry.name: entry.type for entry in await files.list()}
    assert flat == {"closed": "directory", "dir": "directory", "link": "symlink"}
    deep = [entry.name for entry in await files.list(".", recursive=True)]
    assert deep == ["closed", "dir", "in.txt", "link"]


async def test_a_listing_that_is_too_long_is_refused(room: Path) -> None:
    for number in range(4):
        (room / str(number)).touch()
    with pytest.raises(ResourceLimitError):
        await files_in(room, max_dir_entries=3).list()


async def test_copy_and_move_check_both_ends(room: Path) -> None:
    (room / "a").write_text("x")
    files = files_in(room)
    for attempt in (
        files.copy("a", "../outside/a"),
        files.move("a", "../outside/a"),
        files.copy("../outside/secret.txt", "b"),
        files.move("../outside/secret.txt", "b"),
    ):
        with pytest.raises(SecurityError):
            await attempt
    await files.copy("a", "b")
    await files.move("b", "c")
    assert sorted(p.name for p in room.iterdir()) == ["a", "c"]


async def test_configuration_cannot_be_changed_by_moving_its_directory(room: Path) -> None:
    (room / "config").mkdir()
    (room / "config" / "llmspell.toml").write_text("")
    (room / "mine").mkdir()
    (room / "mine" / "llmspell.toml").write_text("evil")
    files = files_in(room)
    with pytest.raises(SecurityError):
        await files.write_text("config/llmspell.toml", "evil")
    with pytest.raises(SecurityError):
        await files.move("config", "old")
    (room / "config" / "llmspell.toml").unlink()
    (room / "config").rmdir()
    with pytest.raises(SecurityError):
        await files.move("mine", "config")


@pytest.mark.parametrize(
    "name", ["llmspell.toml", ".llmspell.toml", "llmspell.prod.toml", "LLMSPELL.toml", "deep/llmspell.toml"]
)
async def test_nobody_finds_a_configuration_tomorrow_that_a_script_left(room: Path, name: str) -> None:
    files = files_in(room)
    (room / "deep").mkdir()
    await files.write_text("mine.toml", "evil")
    with pytest.raises(SecurityError, match="read-only"):
        await files.write_text(name, "evil")
    with pytest.raises(SecurityError, match="read-only"):
        await files.append(name, "evil")
    with pytest.raises(SecurityError, match="read-only"):
        await files.copy("mine.toml", name)
    with pytest.raises(SecurityError, match="read-only"):
        await files.move("mine.toml", name)
    assert not (room / name).exists()


async def test_a_folder_that_was_deleted_under_its_feet_is_not_somewhere_else(
    room: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (room / "gone").mkdir()
    opened = os.open

    def open_and_lose(path: Any, *args: Any, **options: Any) -> int:
        number = opened(path, *args, **options)
        if str(path).endswith("gone"):
            (room / "gone").rmdir()
        return number

    monkeypatch.setattr(os, "open", open_and_lose)
    with pytest.raises(LLMSpellError):
        await files_in(room).write_text("gone/a.txt", "x", atomic=False)


async def test_a_device_is_neither_read_nor_written(room: Path) -> None:
    files = files_in(room, allowed_paths=("*", "/dev"))
    with pytest.raises(ValidationError, match="not a regular file"):
        await files.read_bytes("/dev/zero")
    with pytest.raises(ValidationError, match="not a regular file"):
        await files.write_bytes("/dev/null", b"x", atomic=False)


@pytest.mark.parametrize(
    "path",
    [
        "/proc/self/root/etc/passwd", "/proc/self/cwd/" + "../" * 40 + "etc/passwd", "/proc/self/fd/0", "/proc/thread-self/environ",
        "/dev/fd/0", "/dev/stdin", "//etc/passwd", "/./etc/passwd", "/tmp/../etc/passwd", "/dev/shm/../../etc/passwd",
        "~/.ssh/id_rsa", "/sys/kernel/../../etc/shadow", "./" + "../" * 40 + "etc/passwd",
    ],
)  # fmt: skip
async def test_system_places_are_refused_however_they_are_written(room: Path, path: str) -> None:
    with pytest.raises(SecurityError):
        await files_in(room, allowed_paths=("*",)).read_bytes(path)


async def test_other_case_is_no_way_round_where_case_does_not_matter(
    room: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmspell_core.policy.path.FOLDS_CASE", True)
    with pytest.raises(SecurityError, match="read-only"):
        await files_in(room).write_text("LLMspell.TOML", "evil")


async def test_programs_are_not_written(room: Path) -> None:
    with pytest.raises(SecurityError, match=r"\.dll"):
        await files_in(room).write_text("evil.DLL", "x")
    with pytest.raises(SecurityError, match="allowed_extensions"):
        await files_in(room, allowed_extensions=("txt",)).write_text("a.py", "x")


async def test_libraries_get_a_file_object_or_a_checked_path(room: Path) -> None:
    (room / "a.bin").write_bytes(b"abc")
    files = files_in(room)
    with files.open("a.bin") as file:
        assert (file.read(1), file.seek(2), file.read()) == (b"a", 2, b"c")
    assert files.resolve("./a.bin") == Path(os.path.realpath(room / "a.bin"))
    with pytest.raises(SecurityError):
        files.open("../outside/secret.txt")


async def test_metadata_is_plain_data_with_rfc_3339_times(room: Path) -> None:
    (room / "a").write_text("abc")
    os.utime(room / "a", (0, 0))
    data = (await files_in(room).stat("a")).to_dict()
    assert data["modified"] == "1970-01-01T00:00:00Z"
    assert (data["type"], data["size"], data["readonly"]) == ("file", 3, False)


async def test_a_copy_and_a_moved_file_have_the_permissions_of_the_source(
    room: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("run.sh", "other.sh", "moved.sh"):
        (room / name).write_text("x")
        (room / name).chmod(0o755)
    (room / "private.sh").write_text("old")
    (room / "private.sh").chmod(0o600)
    files = files_in(room)
    await files.copy("run.sh", "copy.sh")
    await files.copy("run.sh", "private.sh")  # it was private, and stays so
    await files.move("other.sh", "same-disk.sh")
    os.utime(room / "moved.sh", (1_000_000_000, 1_000_000_000))
    replace = os.replace

    def other_disk(source: Any, target: Any, **folders: Any) -> None:
        if source == "moved.sh":
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        replace(source, target, **folders)

    monkeypatch.setattr(os, "replace", other_disk)
    await files.move("moved.sh", "other-disk.sh")
    modes = {path.name: path.stat().st_mode & 0o777 for path in room.iterdir()}
    assert modes == {
        "run.sh": 0o755,
        "copy.sh": 0o755,
        "private.sh": 0o600,
        "same-disk.sh": 0o755,
        "other-disk.sh": 0o755,
    }
    assert (room / "other-disk.sh").stat().st_mtime == 1_000_000_000


@pytest.mark.parametrize("name", ["\U0001f9d9" * 63, "ß" * 127, "x" * 255])
async def test_a_name_is_as_long_as_the_system_allows_in_bytes(room: Path, name: str) -> None:
    await files_in(room).write_text(name, "x")
    await files_in(room).copy(name, f"{name[:-1]}y")
    assert [path.read_text() for path in room.iterdir()] == ["x", "x"]
    with pytest.raises(ValidationError, match="too long"):
        await files_in(room).write_text(f"{name}{name[:3]}x", "x")


async def test_a_path_that_ends_with_a_slash_names_no_file(room: Path) -> None:
    (room / "a.txt").write_text("a")
    files = files_in(room)
    for attempt in (
        files.write_text("newdir/", "x"),
        files.write_text("newdir/.", "x"),
        files.append("newdir/", "x"),
        files.copy("a.txt", "newdir/"),
        files.move("a.txt", "newdir/"),
        files.read_bytes("a.txt/"),
    ):
        with pytest.raises(ValidationError, match="names a directory"):
            await attempt
    assert [path.name for path in room.iterdir()] == ["a.txt"]
    await files.mkdir("newdir/")
    await files.move("newdir/", "moved/")
    assert (room / "moved").is_dir()


async def test_a_circle_of_links_and_a_link_to_nowhere_do_not_exist(room: Path) -> None:
    (room / "a").symlink_to("b")
    (room / "b").symlink_to("a")
    (room / "dangling").symlink_to("nothing")
    assert [await files_in(room).exists(name) for name in ("a", "dangling", ".")] == [False, False, True]


async def test_text_in_another_encoding_is_named_as_such(room: Path) -> None:
    for data, hint in ((b"\xff\xfea\0", "UTF-16"), (b"gr\xfc\xdfe", "older encoding"), (b"\0\xff", "binary")):
        (room / "a.txt").write_bytes(data)
        with pytest.raises(ValidationError, match="not utf-8 text") as caught:
            await files_in(room).read_text("a.txt")
        assert hint in str(caught.value.hint)


@pytest.mark.parametrize(
    ("path", "advice"),
    [
        ("/notes.txt", 'Add "/notes.txt"'),
        ("/etc/shadow", 'Add "/etc/shadow"'),
        ("/srv/data/notes.txt", 'Add "/srv/data"'),
        ("~/notes.txt", 'notes.txt"'),
        ("/", "Name the folder"),
        ("~", "Name the folder"),
    ],
)
async def test_a_denial_never_advises_the_whole_disk(room: Path, path: str, advice: str) -> None:
    with pytest.raises(SecurityError) as caught:
        await files_in(room).list(path)
    assert advice in str(caught.value.hint)
    assert '"/"' not in str(caught.value.hint)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux takes any bytes for a name")
async def test_an_error_about_a_name_that_cannot_be_decoded_can_be_written(room: Path) -> None:
    odd = os.fsdecode(b"odd\xff")
    (room.parent / odd).mkdir()
    (room / "link").symlink_to(f"../{odd}/x")
    for path, kind in (("link", SecurityError), (odd, NotFoundError), (f"../{odd}", SecurityError)):
        with pytest.raises(kind) as caught:
            await files_in(room).read_bytes(path)
        assert "odd\ufffd" in caught.value.message
        f"{caught.value.message}{caught.value.hint}".encode()
