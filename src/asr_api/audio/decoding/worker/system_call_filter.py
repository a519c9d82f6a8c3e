"""System call filter of seccomp: a worker may read and write what is open, and manage its own memory; nothing else."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct

# name: (number on x86_64, number on aarch64), of Linux. None of them opens anything or reaches another process.
ALLOWED = {
    "read": (0, 63),
    "write": (1, 64),
    "close": (3, 57),
    "lseek": (8, 62),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "munmap": (11, 215),
    "brk": (12, 214),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "pread64": (17, 67),
    "sched_yield": (24, 124),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "sendto": (44, 206),
    "recvfrom": (45, 207),
    "exit": (60, 93),
    "sigaltstack": (131, 132),
    "futex": (202, 98),
    "restart_syscall": (219, 128),
    "clock_gettime": (228, 113),
    "clock_nanosleep": (230, 115),
    "exit_group": (231, 94),
    "getrandom": (318, 278),
}
MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # index of the number, and AUDIT_ARCH
SECCOMP, SET_PRIORITY = (317, 277), (141, 140)
SET_MODE_FILTER = 1
FULL_SPEED = 4  # SECCOMP_FILTER_FLAG_SPEC_ALLOW: kernels before 5.16 would slow the process down against Spectre
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06  # of classic BPF
NUMBER_OFFSET, MACHINE_OFFSET, ARGUMENT_OFFSETS = 0, 4, (16, 24)  # in struct seccomp_data
ALLOW, KILL_PROCESS, FAIL = 0x7FFF0000, 0x80000000, 0x00050000


class Program(ctypes.Structure):
    _fields_ = (("num_instructions", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def has_system_call_filters() -> bool:
    """Asks with a program that is none, for which a kernel with filters fails with EFAULT."""
    return platform.machine() in MACHINES and _set_filter(None) == errno.EFAULT


def forbid_system_calls() -> None:
    """For this process, for good: others than ALLOWED fail with EPERM. It may still lower its own priority.

    Raises OSError.
    """
    index, machine = MACHINES[platform.machine()]
    numbers = [pair[index] for pair in ALLOWED.values()]
    program = [
        (LOAD, 0, 0, MACHINE_OFFSET),
        (JUMP_IF_EQUAL, 1, 0, machine),
        (RETURN, 0, 0, KILL_PROCESS),
        (LOAD, 0, 0, NUMBER_OFFSET),
        *((JUMP_IF_EQUAL, len(numbers) - place + 5, 0, number) for place, number in enumerate(numbers)),
        (JUMP_IF_EQUAL, 0, 4, SET_PRIORITY[index]),
        (LOAD, 0, 0, ARGUMENT_OFFSETS[0]),
        (JUMP_IF_EQUAL, 0, 2, os.PRIO_PROCESS),
        (LOAD, 0, 0, ARGUMENT_OFFSETS[1]),
        (JUMP_IF_EQUAL, 1, 0, 0),  # the process itself
        (RETURN, 0, 0, FAIL | errno.EPERM),
        (RETURN, 0, 0, ALLOW),
    ]
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
    if error := _set_filter(Program(len(program), code)):
        raise OSError(error, "the system calls of a decoder cannot be limited")


def _set_filter(program: Program | None) -> int:
    """The error number, or 0."""
    libc = ctypes.CDLL(None, use_errno=True)
    address = None if program is None else ctypes.byref(program)
    number = SECCOMP[MACHINES[platform.machine()][0]]
    return ctypes.get_errno() if libc.syscall(number, SET_MODE_FILTER, FULL_SPEED, address) else 0
