"""What the system knows: free ports, who listens, what processes cost, what machine this is."""

import contextlib
import os
import platform
import random
import re
import resource
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

HOST = "127.0.0.1"
PATIENCE = 30  # seconds until what should be ready counts as failed
TICKS = os.sysconf("SC_CLK_TCK")
TABLES = {"tcp": "0A", "udp": "07"}  # the states of sockets that wait, in /proc/net/tcp and udp
DESCRIPTORS = 65536  # more than twice what the largest crowd of visitors needs


class Failure(Exception):
    """One line that says what did not work."""


def program(name, remedy):
    """Where a program is; daemons are not in everyone's PATH."""
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not found:
        sys.exit(f"{name} is missing: {remedy}")
    return found


def free_ports(count):
    """Ports that are free for TCP and UDP, below those that outgoing connections take."""
    first_outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    candidates = random.sample(range(10000, max(first_outgoing, 20000)), 100 + count)
    found = [port for port in candidates if is_free(port)]
    if len(found) < count:
        raise Failure("hardly a port is free")
    return found[:count]


def is_free(port):
    try:
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with socket.socket(socket.AF_INET, kind) as trial:
                trial.bind((HOST, port))
    except OSError:
        return False
    return True


def listens(port, kind="tcp"):
    """Whether a socket waits there. Connecting instead would disturb services that serve once."""
    waits = re.compile(rf"^ *\d+: [0-9A-F]+:{port:04X} [0-9A-F:]+ {TABLES[kind]} ", re.MULTILINE)
    return bool(waits.search(Path(f"/proc/net/{kind}").read_text()))


def wait_until(condition, what, process=None):
    """Waits for a condition; fails if the process that should bring it about has ended."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if process and process.poll() is not None:
            raise Failure(f"{what}: {process.last_words()}")
        if time.monotonic() > end:
            raise Failure(f"{what}: not within {PATIENCE} s")
        time.sleep(0.02)


class Process(subprocess.Popen):
    """A program that runs beside this one, with its output in a file. It ends with `stop`, or with its `with`."""

    def __init__(self, command, log, descriptors=()):
        self.log = Path(log)
        with self.log.open("wb") as words:
            super().__init__(
                command, stdin=subprocess.DEVNULL, stdout=words, stderr=words,
                env=dict(os.environ, RUST_LOG="warn"), pass_fds=descriptors,
            )

    def stop(self):
        self.terminate()
        try:
            self.wait(5)
        except subprocess.TimeoutExpired:
            self.kill()
            self.wait()

    def last_words(self):
        lines = self.log.read_text(errors="replace").splitlines()
        return lines[-1] if lines else f"{self.args[0]} ended with {self.returncode}"

    def __exit__(self, *_):
        self.stop()


def cpu_seconds(processes):
    """User and system time that processes have taken, to 10 ms."""
    return sum(sum(map(int, stat(process)[11:13])) for process in processes) / TICKS


def stat(process):
    return Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()


def exact_cpu_seconds(processes):
    """The same as the scheduler counts it: ticks would miss what processes take that hardly take anything."""
    return sum(int(text.split()[0]) for text in threads(processes, "schedstat")) / 1e9


def wakeups(processes):
    """How often processes have waited for something."""
    line = re.compile(r"^voluntary_ctxt_switches:\s*(\d+)", re.MULTILINE)
    return sum(int(line.search(text)[1]) for text in threads(processes, "status"))


def threads(processes, name):
    """A file of each of their threads."""
    return [file.read_text() for process in processes for file in Path(f"/proc/{process.pid}/task").glob(f"*/{name}")]


def memory(process):
    """Resident and anonymous memory in KiB."""
    text = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
    return [int(re.search(rf"^{key}: +(\d+)", text, re.MULTILINE)[1]) for key in ("Rss", "Anonymous")]


def raise_descriptor_limit():
    """As far as is allowed, root may raise what is allowed."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(most, DESCRIPTORS), max(most, DESCRIPTORS)))


def machine():
    """CPU, cores and kernel in a few words."""
    model = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    cpu = model[1] if model else platform.machine()
    return f"{cpu}, {os.cpu_count()} cores, Linux {platform.release()}"
