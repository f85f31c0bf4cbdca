"""Which system calls a decoder has any use for, as a filter for the kernel; the others do not exist for it.

Found by tracing ffmpeg 5.1 and 7.1 over every format, with those added that the C library may take instead.
None of them makes a socket, a process, a signal to another process, or a look into another's memory.
"""

import errno
import struct
from typing import Final

NUMBERS: Final = {
    # name: on x86-64, on 64-bit ARM; None where there is no such call
    "read": (0, 63),
    "write": (1, 64),
    "readv": (19, 65),
    "writev": (20, 66),
    "pread64": (17, 67),
    "lseek": (8, 62),
    "close": (3, 57),
    "dup": (32, 23),
    "fstat": (5, 80),
    "newfstatat": (262, 79),
    "openat": (257, 56),
    "fcntl": (72, 25),
    "poll": (7, None),
    "ppoll": (271, 73),
    "mmap": (9, 222),
    "munmap": (11, 215),
    "mprotect": (10, 226),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "brk": (12, 214),
    "futex": (202, 98),
    "set_robust_list": (273, 99),
    "set_tid_address": (218, 96),
    "rseq": (334, 293),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    "restart_syscall": (219, 128),
    "sched_yield": (24, 124),
    "nanosleep": (35, 101),
    "clock_nanosleep": (230, 115),
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "gettimeofday": (96, 169),
    "getrusage": (98, 165),
    "getpid": (39, 172),
    "gettid": (186, 178),
    "getuid": (102, 174),
    "geteuid": (107, 175),
    "getgid": (104, 176),
    "getegid": (108, 177),
    "getrandom": (318, 278),
    "uname": (63, 160),
    "sysinfo": (99, 179),
    "arch_prctl": (158, None),
    "execve": (59, 221),
    "exit": (60, 93),
    "exit_group": (231, 94),
}
CLONE_THREAD = 0x0001_0000
CONDITIONAL: Final = {
    # name: numbers, which argument, the bits that count, what they must be
    "clone": ((56, 220), 0, CLONE_THREAD, CLONE_THREAD),
    "prlimit64": ((302, 261), 0, 0xFFFF_FFFF, 0),
    "sched_getaffinity": ((204, 123), 0, 0xFFFF_FFFF, 0),
}
"""Threads, but no processes; questions about oneself (process 0), but about no other.

clone3 hides what it is asked for from the filter; the C library takes clone where there is none.
"""

ARCHITECTURES: Final = {"x86_64": (0, 0xC000_003E), "aarch64": (1, 0xC000_00B7)}
"""By the name of the machine: place in the tables, and AUDIT_ARCH of the kernel's headers."""

# classic BPF (linux/bpf_common.h) over struct seccomp_data: number, architecture, address, six arguments
_LOAD, _AND, _EQUAL, _RETURN = 0x20, 0x54, 0x15, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16
_ALLOW = 0x7FFF_0000
_NO_SUCH_CALL = 0x0005_0000 | errno.ENOSYS


def program(machine: str) -> bytes | None:
    """The filter, eight bytes an instruction; None for a machine whose numbers are not listed here."""
    if machine not in ARCHITECTURES:
        return None
    place, architecture = ARCHITECTURES[machine]
    refuse = _instruction(_RETURN, _NO_SUCH_CALL)
    steps = [_instruction(_LOAD, _ARCHITECTURE_AT), _instruction(_EQUAL, architecture, yes=1), refuse]
    steps.append(_instruction(_LOAD, _NUMBER_AT))
    for numbers in NUMBERS.values():
        if (number := numbers[place]) is not None:
            steps += [_instruction(_EQUAL, number, no=1), _instruction(_RETURN, _ALLOW)]
    for numbers, argument, bits, wanted in CONDITIONAL.values():
        steps += [
            _instruction(_EQUAL, numbers[place], no=5),
            _instruction(_LOAD, _ARGUMENTS_AT + 8 * argument),
            _instruction(_AND, bits),
            _instruction(_EQUAL, wanted, no=1),
            _instruction(_RETURN, _ALLOW),
            refuse,
        ]
    return b"".join([*steps, refuse])


def _instruction(code: int, operand: int, *, yes: int = 0, no: int = 0) -> bytes:
    """`yes` and `no` are how many instructions a comparison skips."""
    return struct.pack("=HBBI", code, yes, no, operand)
