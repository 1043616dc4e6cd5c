"""The filter's decisions, by running its instructions as the kernel would, for both architectures."""

from __future__ import annotations

import errno
import os
import re
import struct
from pathlib import Path

import pytest

from llmspell_core.script.fence import seccomp

ARCHITECTURES = list(seccomp.AUDIT_ARCH)
ALLOWED = seccomp.ALLOW
REFUSED = seccomp.REFUSE | errno.EPERM
HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}


def decide(program: list[seccomp.Instruction], architecture: int, number: int, *arguments: int) -> int:
    """What the kernel does with that call: a small classic-BPF machine over `struct seccomp_data`."""
    values = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("<IIQ6Q", number, architecture, 0, *values)
    accumulator, at = 0, 0
    while True:
        operation, if_true, if_false, constant = program[at]
        at += 1
        if operation == seccomp.LOAD:
            accumulator = struct.unpack_from("<I", data, constant)[0]
        elif operation == seccomp.JUMP_EQUAL:
            at += if_true if accumulator == constant else if_false
        elif operation == seccomp.JUMP_ANY_BIT:
            at += if_true if accumulator & constant else if_false
        else:
            assert operation == seccomp.RETURN
            return constant


@pytest.fixture(params=ARCHITECTURES)
def machine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def ask(machine: str, name: str, *arguments: int, **granted: bool) -> int:
    number = seccomp.NUMBERS[name][ARCHITECTURES.index(machine)]
    assert number is not None
    program = seccomp.program(machine, **granted)
    return decide(program, seccomp.AUDIT_ARCH[machine], number, *arguments)


def test_reading_and_writing_what_is_open_is_allowed(machine: str) -> None:
    assert ask(machine, "read", 3) == ask(machine, "write", 3) == ask(machine, "recvfrom", 3) == ALLOWED


def test_every_number_outside_the_list_is_refused(machine: str) -> None:
    program, column = seccomp.program(machine), ARCHITECTURES.index(machine)
    known = {numbers[column] for numbers in seccomp.NUMBERS.values()}
    others = [number for number in range(600) if number not in known]
    assert {decide(program, seccomp.AUDIT_ARCH[machine], number) for number in others} == {REFUSED}


def test_calls_of_another_architecture_kill(machine: str) -> None:
    program = seccomp.program(machine)
    assert decide(program, 0x40000003, 1) == seccomp.KILL_PROCESS


def test_the_x32_variant_of_an_allowed_call_is_refused() -> None:
    assert decide(seccomp.program("x86_64"), seccomp.AUDIT_ARCH["x86_64"], 0x40000000 | 1) == REFUSED


def test_sending_to_an_address_is_refused_in_either_half_of_the_pointer(machine: str) -> None:
    assert ask(machine, "sendto", 3, 1, 1, 0, 0, 0) == ALLOWED
    assert ask(machine, "sendto", 3, 1, 1, 0, 0x1000, 16) == REFUSED
    assert ask(machine, "sendto", 3, 1, 1, 0, 0x7F00_0000_0000, 16) == REFUSED


def test_signals_go_to_itself_only(machine: str) -> None:
    assert ask(machine, "kill", os.getpid(), 9) == ask(machine, "tgkill", os.getpid(), 1, 9) == ALLOWED
    assert {ask(machine, "kill", target, 9) for target in (0, 1, os.getppid(), (1 << 64) - 1)} == {REFUSED}


def test_executable_memory_needs_the_grant(machine: str) -> None:
    for name in ("mmap", "mprotect"):
        assert ask(machine, name, 0, 4096, 3) == ALLOWED
        assert ask(machine, name, 0, 4096, 7) == REFUSED
        assert ask(machine, name, 0, 4096, 7, jit=True) == ALLOWED


def test_a_clone_is_a_thread_with_the_grant_or_nothing(machine: str) -> None:
    assert ask(machine, "clone", seccomp.CLONE_THREAD | 0x100) == REFUSED
    assert ask(machine, "clone", seccomp.CLONE_THREAD | 0x100, threads=True) == ALLOWED
    assert ask(machine, "clone", 17, threads=True) == REFUSED
    assert ask(machine, "clone3") == seccomp.REFUSE | errno.ENOSYS


def test_limits_can_be_read_and_not_set(machine: str) -> None:
    assert ask(machine, "prlimit64", 0, 9, 0, 0x7F00_0000_0000) == ALLOWED
    assert ask(machine, "prlimit64", 0, 9, 0x7F00_0000_0000, 0) == REFUSED
    assert ask(machine, "prlimit64", 1, 9, 0, 0) == REFUSED


def test_descriptors_are_neither_duplicated_nor_typed_into(machine: str) -> None:
    assert ask(machine, "fcntl", 3, 3) == ask(machine, "ioctl", 3, seccomp.FIONBIO) == ALLOWED
    assert ask(machine, "fcntl", 3, 0) == ask(machine, "ioctl", 0, 0x5412) == REFUSED


def test_an_unknown_architecture_has_no_filter() -> None:
    with pytest.raises(OSError, match="no system call table for riscv64"):
        seccomp.program("riscv64")


def test_the_numbers_are_those_of_the_kernel_headers(machine: str) -> None:
    header = HEADERS[machine]
    if not header.exists():
        pytest.skip(f"{header} is not installed")
    found = dict(re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", header.read_text()))
    column = ARCHITECTURES.index(machine)
    ours = {name: numbers[column] for name, numbers in seccomp.NUMBERS.items() if numbers[column] is not None}
    assert {name: int(found[name]) for name in ours} == ours
