"""Where a tunnel is measured: loopback, or two networks of its own with a path between them."""

import contextlib
import ctypes
import fcntl
import os
import struct
import subprocess
import sys
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Callable

from system import HOST, Failure, Process, program

CLONE_NEWNET = 0x40000000
IFF_TUN, IFF_NO_PI, TUNSETIFF = 0x0001, 0x1000, 0x400454CA
NAMESPACE = "/proc/thread-self/ns/net"
LIBC = ctypes.CDLL(None, use_errno=True)
FORWARDER = Path(__file__).with_name("forwarder.py")
CONTROL = "cubic"  # of congestion: what Linux has unless told, so that machines compare


@dataclass
class Place:
    """The address of the local services, that of the tunnel's server, and how to get to where the former are."""

    home: str
    world: str
    inside: Callable = contextlib.nullcontext


LOOPBACK = Place(HOST, HOST)


@dataclass
class Shape:
    """A path, the same both ways: bits a second, seconds one way, seconds that packets may wait, part that is lost."""

    rate: float
    delay: float
    patience: float
    loss: float = 0


class Namespace:
    """A network that is gone with the last process and descriptor in it."""

    def __init__(self):
        with open(NAMESPACE) as back:
            call(LIBC.unshare(CLONE_NEWNET))
            self.file = open(NAMESPACE)
            call(LIBC.setns(back.fileno(), CLONE_NEWNET))

    @contextlib.contextmanager
    def inside(self):
        """This thread, and the processes that it starts, live there meanwhile."""
        with open(NAMESPACE) as back:
            call(LIBC.setns(self.file.fileno(), CLONE_NEWNET))
            try:
                yield
            finally:
                call(LIBC.setns(back.fileno(), CLONE_NEWNET))

    def close(self):
        self.file.close()


def call(result):
    if result:
        raise Failure(f"no network of its own: {os.strerror(ctypes.get_errno())}")


@contextlib.contextmanager
def path(shape, log):
    """A place with a path of that shape from home to the world. Meanwhile this thread is in the world."""
    addresses = "192.0.2.1", "192.0.2.2"
    with contextlib.ExitStack() as stack:
        home, world = (stack.enter_context(contextlib.closing(Namespace())) for _ in addresses)
        ends = [end(home, *addresses, stack), end(world, *reversed(addresses), stack)]
        command = [sys.executable, FORWARDER, *map(str, (*ends, *astuple(shape)))]
        stack.enter_context(Process(command, log, descriptors=ends))
        stack.enter_context(world.inside())
        yield Place(*addresses, home.inside)


def end(namespace, address, peer, stack):
    """A device in the namespace, and the descriptor that its packets come out of."""
    with namespace.inside():
        descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        stack.callback(os.close, descriptor)
        fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", b"path", IFF_TUN | IFF_NO_PI))
        words = f"""
            link set lo up
            address add {address} dev path
            link set path mtu 1500 txqueuelen 10000 up
            route add {peer} dev path congctl {CONTROL}
        """
        ip = program("ip", "apt-get install iproute2")
        done = subprocess.run([ip, "-batch", "-"], input=words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failure(f"ip: {done.stderr.strip()}")
    return descriptor
