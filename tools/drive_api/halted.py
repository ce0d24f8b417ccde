"""Halts single threads of a server (ptrace, Linux), as a disk does that does not answer."""
import ctypes
import os

SEIZE, INTERRUPT, DETACH, WALL = 0x4206, 0x4207, 17, 0x40000000


class Halted:
    """The threads of a server that have this name, its first one excepted, stand still."""

    def __init__(self, server, name):
        pid = server.process.pid
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.libc.ptrace.argtypes = [ctypes.c_long] * 4
        self.libc.ptrace.restype = ctypes.c_long
        tasks = f"/proc/{pid}/task"
        self.threads = [int(task) for task in os.listdir(tasks)
                        if int(task) != pid and comm(f"{tasks}/{task}") == name]
        if not self.threads:
            raise AssertionError(f"the server has no thread {name}")
        for thread in self.threads:
            self.trace(SEIZE, thread)
            self.trace(INTERRUPT, thread)
            os.waitpid(thread, WALL)

    def trace(self, request, thread):
        if self.libc.ptrace(request, thread, 0, 0) == -1:
            why = os.strerror(ctypes.get_errno())
            raise AssertionError(f"a thread cannot be halted: {why}; allow ptrace of child processes")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for thread in self.threads:
            self.trace(DETACH, thread)


def comm(task):
    with open(f"{task}/comm", encoding="utf-8") as file:
        return file.read().strip()
