"""What is measured of crowds: whether time and memory grow with their number alone, and what they cost when idle."""

import contextlib
import socket
import time
from functools import partial

from figures import CROWDS
from measures import exchange, settle
from system import exact_cpu_seconds, free_ports, listens, memory, wait_until, wakeups
from tunnels import Tunnel, toml_client, toml_server

SIDES = "server", "client"
IDLE = 13.4  # seconds: each end's heartbeat falls into them once


class Crowd(Tunnel):
    """A server with many services, all of them the echo, and clients with so many of them each."""

    def __init__(self, tunnel, services, count, each):
        kinds = {f"echo{number}": "tcp" for number in range(count)}
        super().__init__(tunnel.name, tunnel.path, services, kinds, tunnel.keys)
        self.each, self.seconds = each, 0

    def local(self, _):
        return super().local("echo")

    def start(self):
        """Starts all, and knows how many seconds it took until each service has answered."""
        control, *public = free_ports(1 + len(self.kinds))
        self.ports = dict(zip(self.kinds, public))
        process = self.run("server", self.command("server", "server", toml_server(self, control)))
        wait_until(lambda: listens(control), f"the server of {self.name}", process)
        begin = time.monotonic()
        for names in parts(list(self.kinds), self.each):
            text = toml_client(self, control, names)
            process = self.run("client", self.command("client", names[0], text))
        for name in self.kinds:
            wait_until(lambda: self.echoes(name), f"{name} of {self.name}", process)
        self.seconds = time.monotonic() - begin

    def sides(self):
        return dict(zip(SIDES, (self.processes[:1], self.processes[1:])))

    def sizes(self):
        """KiB of anonymous memory by side."""
        return {side: sum(memory(process)[1] for process in processes) for side, processes in self.sides().items()}

    def costs(self):
        """CPU seconds and wake-ups by side, until now."""
        return {side: (exact_cpu_seconds(processes), wakeups(processes)) for side, processes in self.sides().items()}


def parts(names, size):
    return [names[begin : begin + size] for begin in range(0, len(names), size)]


@contextlib.contextmanager
def gather(tunnel, services, count, each):
    crowd = Crowd(tunnel, services, count, each)
    try:
        crowd.start()
        yield crowd
    finally:
        crowd.stop()


@contextlib.contextmanager
def visitors(tunnel, services, count):
    with gather(tunnel, services, 1, 1) as crowd, contextlib.ExitStack() as stack:
        begin = time.monotonic()
        for _ in range(count):
            exchange(stack.enter_context(socket.create_connection(crowd.address("echo0"), 10)))
        crowd.seconds = time.monotonic() - begin
        yield crowd


def clients(tunnel, services, count):
    return gather(tunnel, services, count, 1)


def of_one_client(tunnel, services, count):
    return gather(tunnel, services, count, count)


def scale(what, gathered, tunnel, services, _):
    """One alone, some and many of them. Only of tunnels that share a configuration: the crowd's is written for them."""
    if tunnel.kind not in ("pinhole", "rathole"):
        return {}
    few, many = CROWDS[what]
    values, seconds, sizes = {}, {}, {}
    for count in (1, few, many):
        with gathered(tunnel, services, count) as crowd:
            settle(crowd)
            seconds[count], sizes[count] = crowd.seconds, crowd.sizes()
            if count == many:
                values |= idle(f"{many:,} {what}s idle", crowd)
    values |= times(f"{many:,} {what}s there", seconds, few, many)
    for side in SIDES:
        values |= growth(f"{side} per {what}", {count: size[side] for count, size in sizes.items()}, few, many)
    return values


def idle(name, crowd):
    """What some seconds cost in which nobody wants anything: µs of CPU and wake-ups, by second and client."""
    before = crowd.costs()
    time.sleep(IDLE)
    after = crowd.costs()
    values, clients = {}, len(crowd.sides()["client"])
    for side in SIDES:
        cpu, waits = ((new - old) / IDLE / clients for old, new in zip(before[side], after[side]))
        values |= {f"{name}, {side} CPU": cpu * 1e6, f"{name}, {side} wake-ups": waits}
    return values


def times(name, seconds, few, many):
    return {name: seconds[many], f"{name}, growth": (seconds[many] / many) / (seconds[few] / few)}


def growth(name, sizes, few, many):
    """What one takes besides the first, and by how much more that is when there are many."""
    of_few, of_many = ((sizes[count] - sizes[1]) / (count - 1) for count in (few, many))
    return {name: of_many} | ({f"{name}, growth": of_many / of_few} if of_few > 0 else {})


SCALE = {
    "visitors": partial(scale, "visitor", visitors),
    "clients": partial(scale, "client", clients),
    "services": partial(scale, "service", of_one_client),
}
