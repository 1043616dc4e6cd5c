"""The operating system's fence: each attempt is made twice, free (it must work) and fenced (it must not)."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from llmspell_core.script import fence

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Landlock and seccomp are Linux features")

ROOT = str(Path(fence.__file__).resolve().parents[3])

START = """
import ctypes, gc, json, mmap, os, resource, select, selectors, signal, socket, subprocess, sys, threading, time
sys.path.append(sys.argv[1])
channel = socket.socket(fileno=int(sys.argv[2]))
settings = json.loads(sys.argv[3])
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
from llmspell_core.script import fence

def syscall(number, *args):
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) if isinstance(a, int) else a for a in args])
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

def executable_page():
    return mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)

def make_executable():
    page = mmap.mmap(-1, 4096)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    if libc.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(4096), 5):
        raise OSError(ctypes.get_errno(), "mprotect")

def fork():
    if os.fork() == 0:
        os._exit(0)
    os.wait()

def vfork():
    os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)

def attempt(source):
    try:
        exec(source, globals())
    except BaseException as error:
        return [type(error).__name__, getattr(error, "errno", None), str(error)]
    return None

def tell(value):
    channel.sendall(json.dumps(value).encode() + b"\\n")

victim = os.getppid()
report = None if settings is None else fence.apply(settings)
"""

ATTEMPTS = {
    "reads a file": "open('/etc/passwd').read()",
    "reads its environment": "open('/proc/self/environ').read()",
    "opens its own memory": "open('/proc/self/mem', 'rb')",
    "opens a device": "open('/dev/null', 'w')",
    "writes a file": "open(f'/tmp/fence-{os.getpid()}', 'w').close(); os.unlink(f'/tmp/fence-{os.getpid()}')",
    "makes a directory": "os.mkdir(f'/tmp/fence-{os.getpid()}'); os.rmdir(f'/tmp/fence-{os.getpid()}')",
    "lists a directory": "os.listdir('/')",
    "asks whether a file exists": "os.stat('/etc/passwd')",
    "asks where it is": "os.getcwd()",
    "changes directory": "os.chdir('/')",
    "reads a link": "os.readlink('/proc/self/exe')",
    "opens a TCP socket": "socket.socket(socket.AF_INET, socket.SOCK_STREAM)",
    "opens a UDP socket": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
    "opens an IPv6 socket": "socket.socket(socket.AF_INET6, socket.SOCK_STREAM)",
    "opens a Unix socket": "socket.socket(socket.AF_UNIX)",
    "opens a netlink socket": "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
    "makes a socket pair": "socket.socketpair()",
    "makes a pipe": "os.pipe()",
    "forks": "fork()",
    "spawns a program": "vfork()",
    "runs a program": "subprocess.run(['/bin/true'], check=True)",
    "starts a thread": "t = threading.Thread(target=len, args=('',)); t.start(); t.join()",
    "signals another process": "os.kill(victim, 0)",
    "asks to be traced": "syscall({'x86_64': 101, 'aarch64': 117}[os.uname().machine], 0, 0, 0, 0)",
    "makes a memory file": "os.memfd_create('x')",
    "maps executable memory": "executable_page()",
    "makes memory executable": "make_executable()",
    "sets a limit": "resource.setrlimit(resource.RLIMIT_CORE, (0, 0))",
    "outlives its parent": "libc.prctl(1, 0) == 0 or syscall(-1)",
    "leaves its name space": "syscall({'x86_64': 272, 'aarch64': 97}[os.uname().machine], 0x200)",
    "duplicates a descriptor": "os.dup(0)",
    "changes a file's mode": "os.fchmod(channel.fileno(), 0o600)",
}

# Needs rights or kernel options a free process may not have either; (x86_64, aarch64)
RAW = {
    "openat": (257, 56), "openat2": (437, 437), "open_by_handle_at": (304, 265), "name_to_handle_at": (303, 264),
    "connect": (42, 203), "bind": (49, 200), "listen": (50, 201), "accept4": (288, 242),
    "sendmsg": (46, 211), "recvmsg": (47, 212), "sendmmsg": (307, 269),
    "execve": (59, 221), "execveat": (322, 281), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "pidfd_open": (434, 434), "pidfd_send_signal": (424, 424), "pidfd_getfd": (438, 438), "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138), "mount": (165, 40), "kexec_load": (246, 104), "bpf": (321, 280),
    "perf_event_open": (298, 241), "io_uring_setup": (425, 425), "userfaultfd": (323, 282), "keyctl": (250, 219),
    "setns": (308, 268), "unshare": (272, 97), "statx": (332, 291), "personality": (135, 92), "shmget": (29, 194),
    "mq_open": (240, 180), "fanotify_init": (300, 262), "seccomp": (317, 277), "never assigned": (5000, 5000),
}  # fmt: skip


class Child:
    """A process that ran START; `lines` are the JSON values it told."""

    def __init__(self, body: str, settings: dict[str, object] | None) -> None:
        self.channel, theirs = socket.socketpair()
        self.channel.settimeout(30)
        with theirs:
            number = theirs.fileno()
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", START + body, ROOT, str(number), json.dumps(settings)],
                pass_fds=[number], env={}, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            )  # fmt: skip
        self.lines = self.channel.makefile("r")

    def read(self) -> object:
        line = self.lines.readline()
        if not line:
            raise AssertionError(self.end()[1])
        return json.loads(line)

    def end(self) -> tuple[int, str]:
        errors = self.process.communicate(timeout=30)[1]
        return self.process.returncode, errors


@contextlib.contextmanager
def child(body: str, settings: dict[str, object] | None) -> Iterator[Child]:
    started = Child(body, settings)
    try:
        yield started
    finally:
        started.process.kill()
        started.process.wait()
        if started.process.stderr:
            started.process.stderr.close()
        started.lines.close()
        started.channel.close()


FENCED: dict[str, object] = {"memory_bytes": 256 << 20, "threads": False, "require_fence": True}


def outcomes(settings: dict[str, object] | None, attempts: dict[str, str]) -> dict[str, list[object] | None]:
    body = f"tell({{name: attempt(source) for name, source in {attempts!r}.items()}})"
    with child(body, settings) as one:
        found = one.read()
    assert isinstance(found, dict)
    return found


@pytest.fixture(scope="module")
def free() -> dict[str, list[object] | None]:
    return outcomes(None, ATTEMPTS)


@pytest.fixture(scope="module")
def fenced() -> dict[str, list[object] | None]:
    return outcomes(FENCED, ATTEMPTS)


@pytest.mark.parametrize("name", ATTEMPTS)
def test_what_a_free_process_does_a_fenced_one_is_refused(
    name: str, free: dict[str, list[object] | None], fenced: dict[str, list[object] | None]
) -> None:
    assert free[name] is None
    refused = fenced[name]
    assert refused is not None
    assert refused[1] in {1, 13} or refused[0] in {"RuntimeError", "ValueError"}, refused


def test_system_calls_made_past_python_are_refused_too() -> None:
    column = 0 if os.uname().machine == "x86_64" else 1
    refused = outcomes(FENCED, {name: f"syscall({numbers[column]}, 0, 0, 0, 0)" for name, numbers in RAW.items()})
    assert {name: result and result[1] for name, result in refused.items()} == dict.fromkeys(RAW, 1)


def test_the_report_names_every_part_that_is_in_force() -> None:
    with child("tell(report)", FENCED) as one:
        report = one.read()
    assert isinstance(report, dict)
    assert report["missing"] == []
    assert report["landlock"].startswith("abi ")
    assert report["seccomp"].startswith("filter of ")
    assert report["rlimits"]["CORE"] == 0
    assert report["rlimits"]["AS"] > 256 << 20
    assert (report["no_new_privs"], report["dumpable"], report["parent_death"]) == (True, False, "SIGKILL")


def test_the_open_socket_goes_on_working() -> None:
    body = """
poller = select.poll(); poller.register(channel, select.POLLIN)
selector = selectors.DefaultSelector(); selector.register(channel, selectors.EVENT_READ)
tell("ready")
poller.poll(); selector.select(); select.select([channel], [], [])
got = b""
while not got.endswith(b"end"):
    got += channel.recv(65536)
channel.setblocking(False); channel.setblocking(True)
tell(len(got))
"""
    with child(body, FENCED) as one:
        assert one.read() == "ready"
        one.channel.sendall(b"x" * 1_000_000 + b"end")
        assert one.read() == 1_000_003


def test_a_fenced_process_still_computes_sleeps_and_collects_garbage() -> None:
    body = """
block = bytearray(100 << 20); del block
loops = [[] for _ in range(10_000)]
for one in loops: one.append(loops)
del loops, one; gc.collect(); time.sleep(0.001)
signal.setitimer(signal.ITIMER_REAL, 0)
tell([len(os.urandom(8)), time.localtime().tm_year > 2000, os.getpid() > 0, time.process_time() > 0])
"""
    with child(body, FENCED) as one:
        assert one.read() == [8, True, True, True]


def test_memory_ends_at_the_limit_with_a_memory_error() -> None:
    body = """
tell(attempt("kept = bytearray(600 << 20)")); tell(attempt("more = bytearray(600 << 20)")); tell("alive")
"""
    with child(body, FENCED) as one:
        assert one.read() is None
        failure = one.read()
        assert isinstance(failure, list)
        assert failure[0] == "MemoryError"
        assert one.read() == "alive"


def test_a_late_import_is_a_plain_import_error() -> None:
    with child("tell(attempt('import sqlite3')); tell(attempt('import llmspell_core.tool'))", FENCED) as one:
        first, second = one.read(), one.read()
    assert isinstance(first, list)
    assert isinstance(second, list)
    assert first[0] == second[0] == "ModuleNotFoundError"


def test_an_uncaught_error_is_printed_without_the_files_it_cannot_read() -> None:
    with child("def deep(n):\n    return deep(n + 1)\ndeep(0)", FENCED) as one:
        status, errors = one.end()
    assert status == 1
    assert "RecursionError" in errors


def test_an_interrupt_from_the_host_arrives() -> None:
    body = """
try:
    tell("waiting"); channel.recv(1)
except KeyboardInterrupt:
    tell("interrupted")
"""
    with child(body, FENCED) as one:
        assert one.read() == "waiting"
        one.process.send_signal(signal.SIGINT)
        assert one.read() == "interrupted"


def test_a_crash_is_still_a_signal_and_leaves_no_core() -> None:
    with child("libc.abort()", FENCED) as one:
        assert one.end()[0] == -signal.SIGABRT


def test_the_process_dies_with_the_one_that_started_it() -> None:
    middle = (
        "import socket, subprocess, sys, time\n"
        "subprocess.Popen([sys.executable, '-I', '-S', '-c', *sys.argv[1:]], pass_fds=[int(sys.argv[3])])\n"
        "time.sleep(60)\n"
    )
    ours, theirs = socket.socketpair()
    ours.settimeout(30)
    number = str(theirs.fileno())
    body = START + "tell(os.getpid()); time.sleep(60)"
    command = [sys.executable, "-I", "-S", "-c", middle, body, ROOT, number, json.dumps(FENCED)]
    with subprocess.Popen(command, pass_fds=[theirs.fileno()]) as parent:
        theirs.close()
        assert ours.recv(100).strip().isdigit()
        parent.kill()
    assert ours.recv(100) == b""  # the grandchild's end of the socket is closed
    ours.close()


def test_threads_are_granted_and_executable_memory_can_be() -> None:
    granted: dict[str, object] = {"jit": True, "require_fence": True}
    wanted = ["starts a thread", "maps executable memory", "makes memory executable", "forks", "reads a file"]
    found = outcomes(granted, {name: ATTEMPTS[name] for name in wanted})
    assert [name for name, result in found.items() if result is None] == wanted[:3]


def test_landlock_alone_refuses_files_and_signals() -> None:
    body = """
from llmspell_core.script.fence import kernel, landlock
level = landlock.abi()
kernel.prctl(38, 1); landlock.restrict()
tell(level); tell(attempt("open('/etc/passwd')")); tell(attempt("os.listdir('/')")); tell(attempt("os.kill(victim, 0)"))
"""
    with child(body, None) as one:
        level = one.read()
        results = [one.read() for _ in range(3)]
    assert isinstance(level, int)
    errors = [isinstance(result, list) and result[0] == "PermissionError" for result in results]
    assert errors[:2] == [True, True]
    assert errors[2] == (level >= 6)


def test_landlock_refuses_to_lock_only_one_of_several_threads() -> None:
    body = """
threading.Thread(target=time.sleep, args=(30,), daemon=True).start()
tell(fence.apply({})); os._exit(0)
"""
    with child(body, None) as one:
        report = one.read()
    assert isinstance(report, dict)
    assert report["missing"] == ["landlock"]
    assert "2 threads" in report["landlock"]
    assert report["seccomp"].startswith("filter of ")


def test_a_missing_part_is_an_error_when_the_fence_is_required() -> None:
    body = """
threading.Thread(target=time.sleep, args=(30,), daemon=True).start()
tell(attempt("fence.apply({'require_fence': True})")); os._exit(0)
"""
    with child(body, None) as one:
        failure = one.read()
    assert isinstance(failure, list)
    assert failure[0] == "SecurityError"
    assert "landlock unavailable: 2 threads" in failure[2]


def test_probing_changes_nothing_in_the_process_that_asks() -> None:
    before = os.sched_getaffinity(0), resource.getrlimit(resource.RLIMIT_AS), _filters()
    report = fence.probe()
    assert set(fence.PARTS) <= set(report)
    assert report["platform"] == "linux"
    assert (os.sched_getaffinity(0), resource.getrlimit(resource.RLIMIT_AS), _filters()) == before
    assert Path("/etc/passwd").read_text()


def _filters() -> list[str]:
    lines = Path("/proc/self/status").read_text().splitlines()
    return [line for line in lines if line.startswith(("Seccomp", "NoNewPrivs", "CapEff"))]
