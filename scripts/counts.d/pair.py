"""A server and a client whose cost is told, the local service behind them, and what their visitors do."""

import contextlib
import socket
import struct
import threading
from dataclasses import dataclass
from typing import Callable

from system import HOST, Failure, Process, free_ports, listens, wait_until

ASK = struct.Struct(">QQ")  # bytes that the service is to take, and to give then
PIECE = 64 * 1024
SMALL = 64
STUCK = 60  # seconds without a byte


@dataclass
class Load:
    """What visitors do: `make(port, n)` does n of `unit`. It is made `little` and `much`."""

    unit: str
    little: int
    much: int
    make: Callable


def up(port, n):
    with visitor(port) as one:
        ask(one, n * 1024, 1)


def down(port, n):
    with visitor(port) as one:
        ask(one, 0, n * 1024)


def exchanges(port, n):
    with visitor(port) as one:
        for _ in range(n):
            ask(one, SMALL - ASK.size, SMALL)


def connections(port, n):
    for _ in range(n):
        exchanges(port, 1)


LOADS = {
    "up": Load("KiB towards the service", 1, 256 * 1024, up),
    "down": Load("KiB towards the visitor", 1, 256 * 1024, down),
    "exchange": Load("exchange of 64 bytes each way", 50, 450, exchanges),
    "connection": Load("new connection, with one exchange", 20, 180, connections),
}


def visitor(port):
    one = socket.create_connection((HOST, port), STUCK)
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return one


def ask(one, take, give):
    """Has the service take bytes and give others, and waits until it has."""
    one.sendall(ASK.pack(take, give) + bytes(min(take, PIECE)))
    for sent in range(PIECE, take, PIECE):
        one.sendall(bytes(min(take - sent, PIECE)))
    receive(one, give)


def receive(one, missing):
    while missing:
        got = len(one.recv(min(missing, PIECE)))
        if not got:
            raise Failure("the connection was closed")
        missing -= got


class Service:
    """The local service. It does what it is asked to, until it is closed."""

    def __enter__(self):
        self.listener = socket.create_server((HOST, 0), backlog=512)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                one, _ = self.listener.accept()
                threading.Thread(target=serve, args=[one], daemon=True).start()


def serve(one):
    """Until the visitor has gone."""
    with one, contextlib.suppress(Failure, OSError):
        one.settimeout(STUCK)
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            head = one.recv(ASK.size, socket.MSG_WAITALL)
            if len(head) < ASK.size:
                return
            take, give = ASK.unpack(head)
            receive(one, take)
            for given in range(0, give, PIECE):
                one.sendall(bytes(min(give - given, PIECE)))


def cost(tool, load, keys, work, part):
    """What one more of a load's unit costs server and client."""
    times = [max(n * tool.factor // part, 1) for n in (load.little, load.much)]
    little, much = (run(tool, lambda port: load.make(port, n), keys, work) for n in times)
    return [(more - less) / (times[1] - times[0]) for less, more in zip(little, much)]


def run(tool, visit, keys, work):
    """Starts server and client, lets visitors come, and gives the cost of both."""
    control, public = free_ports(2)
    with Service() as service, contextlib.ExitStack() as stack:
        ready = {"server": lambda: listens(control), "client": lambda: answers(public)}
        started = []
        for role, text in zip(ready, configurations(control, public, service.port, keys)):
            (work / f"{role}.toml").write_text(text)
            command = tool.command(work / f"{role}.out", f"--{role}", work / f"{role}.toml")
            started.append(stack.enter_context(Process(command, work / f"{role}.log")))
            wait_until(ready[role], f"the {role}", started[-1])
        visit(public)
        return [tool.cost(process, work / f"{role}.out") for role, process in zip(ready, started)]


def configurations(control, public, local, keys):
    """What server and client are to do, with a pair of keys over Noise."""
    server = f'[server]\nbind_addr = "{HOST}:{control}"\ndefault_token = "counted"\n'
    client = f'[client]\nremote_addr = "{HOST}:{control}"\ndefault_token = "counted"\n'
    if keys:
        private, known = keys
        server += NOISE.format(role="server", key=f'local_private_key = "{private}"')
        client += NOISE.format(role="client", key=f'remote_public_key = "{known}"')
    server += f'[server.services.counted]\nbind_addr = "{HOST}:{public}"\n'
    client += f'[client.services.counted]\nlocal_addr = "{HOST}:{local}"\n'
    return server, client


NOISE = """[{role}.transport]
type = "noise"
[{role}.transport.noise]
{key}
"""


def answers(port):
    try:
        connections(port, 1)
    except (Failure, OSError):
        return False
    return True
