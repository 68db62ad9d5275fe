"""What tells the cost of a process: callgrind its instructions, qemu-user the CPU time of another machine's program."""

import re
import shutil
import sys
from pathlib import Path

from system import PATIENCE, Failure, cpu_seconds, program

# By ELF's machine and its byte order (1: little endian).
EMULATORS = {(8, 1): "mipsel", (8, 2): "mips", (40, 1): "arm", (183, 1): "aarch64"}


class Callgrind:
    """Instructions of a process, known when it has ended."""

    unit = "instructions"
    factor = 1  # of work: it counts exactly

    def __init__(self, path):
        self.prefix = [program("valgrind", "apt-get install valgrind"), "-q", "--tool=callgrind"]
        self.path = path

    def command(self, out, *arguments):
        return [*self.prefix, f"--callgrind-out-file={out}", self.path, *arguments]

    def cost(self, process, out):
        process.terminate()
        process.wait(PATIENCE)
        return self.total(out)

    def total(self, out):
        found = re.search(r"^totals: (\d+)$", out.read_text(errors="replace"), re.MULTILINE)
        out.unlink()  # so that no later run takes it for its own
        if not found:
            raise Failure(f"callgrind has counted nothing of {self.path}")
        return int(found[1])


class Emulator:
    """µs of CPU time of a process, to 10 ms."""

    unit = "µs of CPU under qemu-user"
    factor = 10  # of work: so that 10 ms are little

    def __init__(self, path):
        name = f"qemu-{EMULATORS[machine_of(path)]}"
        self.qemu = shutil.which(name) or program(f"{name}-static", "apt-get install qemu-user-static")
        self.path = path

    def command(self, _, *arguments):
        return [self.qemu, self.path, *arguments]

    def cost(self, process, _):
        return cpu_seconds([process]) * 1e6


def tool_for(path):
    """What fits a program."""
    machine = machine_of(path)
    if machine == machine_of(sys.executable):
        return Callgrind(path)
    if machine not in EMULATORS:
        raise Failure(f"{path} is a program for a machine that is not known here")
    return Emulator(path)


def machine_of(path):
    """ELF's machine and byte order."""
    with Path(path).open("rb") as file:
        head = file.read(20)
    if head[:4] != b"\x7fELF" or len(head) < 20:
        raise Failure(f"{path} is no program for Linux")
    order = "little" if head[5] == 1 else "big"
    return int.from_bytes(head[18:20], order), head[5]
