"""Started in the decoder's place: gives up for good what no decoder needs, then becomes the decoder.

usage: python -I -S confinement.py MODE PROTECTIONS READABLE EXECUTABLE FILTER PROGRAM ARGUMENT...

None of it takes privileges, so that it works for any user in any container. A program of its own, for what
is given up in a thread or between fork and exec cannot be had back and is not safe to do there; it imports
nothing of ours, so that it starts within 15 ms.
"""

import ctypes
import os
import stat
import struct
import sys

MARK = "confinement: "
"""Begins each line that this program writes; those of mode `try` go on with the name of a protection."""
CANNOT_START = 126
"""Exit code where the program does not run."""

ENFORCE, TRY = "enforce", "try"
"""Modes: end where a protection fails, or name it and go on."""

PRIVILEGES = "no_new_privileges"
CAPABILITIES = "no_capabilities"
FILES = "files"
SYSTEM_CALLS = "system_calls"
PROTECTIONS = (PRIVILEGES, FILES, CAPABILITIES, SYSTEM_CALLS)
"""In the order in which they must be taken."""

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2
_CAPABILITY_VERSION_3 = 0x2008_0522
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
"""Landlock's system calls, the same on every architecture."""
_VERSION_ASKED, _PATH_BENEATH = 1, 1
_EXECUTE, _READ_FILE = 1 << 0, 1 << 2
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""How many rights on files each version of Landlock knows; the same from 5 on."""
_NET_RIGHTS, _NET_SINCE = 0b11, 4
_SCOPES, _SCOPES_SINCE = 0b11, 6
"""Neither abstract sockets nor signals reach beyond."""

_libc = ctypes.CDLL(None, use_errno=True)


def confine(
    protections: tuple[str, ...],
    readable: tuple[str, ...],
    executable: tuple[str, ...],
    program: bytes,
    *,
    lenient: bool = False,
) -> None:
    """Take these protections for this process and all it becomes.

    `program` is the filter of system calls, eight bytes an instruction. Raises `OSError` where the kernel
    refuses one; if `lenient`, it is named on stderr instead.
    """
    for protection in filter(protections.__contains__, PROTECTIONS):
        try:
            _take(protection, readable, executable, program)
        except OSError as error:
            if not lenient:
                raise
            _say(f"{protection} {error.strerror}")


def _take(protection: str, readable: tuple[str, ...], executable: tuple[str, ...], program: bytes) -> None:
    match protection:
        case "no_new_privileges":
            _no_new_privileges()
        case "files":
            _only_files(readable, executable)
        case "no_capabilities":
            _no_capabilities()
        case "system_calls":
            _only_system_calls(program)


def _no_new_privileges() -> None:
    _done(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


def _no_capabilities() -> None:
    """With no_new_privs root does not get them back by the exec."""
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    _done(_libc.capset(header, bytes(24)))


def _only_files(readable: tuple[str, ...], executable: tuple[str, ...]) -> None:
    """Landlock (docs.kernel.org/userspace-api/landlock.html): what is open stays so, nothing else opens.

    The file on stdin may be opened again by its descriptor's name, which is how ffmpeg gets to seek in it.
    """
    version = _done(_libc.syscall(_CREATE_RULESET, None, 0, _VERSION_ASKED))
    attributes = struct.pack(
        "=QQQ",
        (1 << _FILE_RIGHTS[min(version, max(_FILE_RIGHTS))]) - 1,
        _NET_RIGHTS if version >= _NET_SINCE else 0,
        _SCOPES if version >= _SCOPES_SINCE else 0,
    )
    ruleset = _done(_libc.syscall(_CREATE_RULESET, attributes, len(attributes), 0))
    for paths, rights in ((readable, _READ_FILE), (executable, _READ_FILE | _EXECUTE)):
        for path in filter(os.path.exists, paths):
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
            _allow(ruleset, descriptor, rights)
            os.close(descriptor)
    if stat.S_ISREG(os.fstat(0).st_mode):
        _allow(ruleset, 0, _READ_FILE)
    _done(_libc.syscall(_RESTRICT_SELF, ruleset, 0))
    os.close(ruleset)


def _allow(ruleset: int, descriptor: int, rights: int) -> None:
    _done(_libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, descriptor), 0))


def _only_system_calls(program: bytes) -> None:
    buffer = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(buffer))
    _done(_libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, header, 0, 0))


def _done(answer: int) -> int:
    if answer < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return answer


def _say(words: str) -> None:
    os.write(2, f"{MARK}{words}\n".encode())


def main(mode: str, protections: str, readable: str, executable: str, program: str, *command: str) -> None:
    """Take the protections and become `command`."""
    try:
        confine(
            _several(protections),
            _several(readable),
            _several(executable),
            bytes.fromhex(program),
            lenient=mode == TRY,
        )
        os.execv(command[0], command)  # noqa: S606  # that is its task
    except OSError as error:
        _say(f"{command[0]} does not start: {error.strerror}")
        os._exit(CANNOT_START)


def _several(joined: str) -> tuple[str, ...]:
    return tuple(filter(None, joined.split(os.pathsep)))


if __name__ == "__main__":
    main(*sys.argv[1:])
