"""The local services behind each tunnel: a page, an echo over TCP and one over UDP, and iperf3, one per transfer."""

import asyncio
import contextlib
import json
import socket
import subprocess
import sys

from place import LOOPBACK
from system import HOST, Failure, Process, free_ports, listens, program, wait_until

PAGE = "x" * 1024
SERVICES = {"http": "tcp", "iperf": "tcp", "iperf-udp": "udp", "echo": "tcp", "echo-udp": "udp"}
TRIES = 3

NGINX = """
daemon off; worker_processes 1; worker_rlimit_nofile 65536; pid {work}/nginx.pid; error_log {work}/nginx.log;
events {{ worker_connections 20000; }}
http {{
    access_log off; keepalive_requests 1000000; default_type text/plain;
    client_body_temp_path {work}/body; proxy_temp_path {work}/proxy; fastcgi_temp_path {work}/fastcgi;
    uwsgi_temp_path {work}/uwsgi; scgi_temp_path {work}/scgi;
    server {{ listen {host}:{port} backlog=4096; location / {{ return 200 "{page}"; }} }}
}}
"""


class Services:
    """What runs for the whole measurement. `ports` are by the names in SERVICES."""

    def __init__(self, work, with_page, place=LOOPBACK):
        self.work, self.place = work, place
        http, iperf, echo = free_ports(3)
        self.ports = {"http": http, "iperf": iperf, "iperf-udp": iperf, "echo": echo, "echo-udp": echo}
        self.with_page = with_page

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self.start("echo", [sys.executable, __file__, self.place.home, str(self.ports["echo"])], stack)
            if self.with_page:
                self.start("http", self.nginx(), stack)
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self.stack.close()

    def start(self, name, command, stack):
        with self.place.inside():
            process = stack.enter_context(Process(command, self.work / f"{name}.log"))
            wait_until(lambda: listens(self.ports[name]), f"the local {name}", process)

    def nginx(self):
        configuration = self.work / "nginx.conf"
        configuration.write_text(NGINX.format(work=self.work, host=HOST, port=self.ports["http"], page=PAGE))
        nginx = program("nginx", "apt-get install nginx")
        return [nginx, "-e", str(self.work / "nginx.log"), "-c", str(configuration)]

    def iperf_server(self):
        """Serves one transfer, so that none meets what the one before left behind."""
        iperf = program("iperf3", "apt-get install iperf3")
        command = [iperf, "-s", "-1", "-B", self.place.home, "-p", str(self.ports["iperf"])]
        with contextlib.ExitStack() as stack:
            self.start("iperf", command, stack)
            return stack.pop_all()


def iperf_command(address, seconds, *options):
    host, port = address
    return ["iperf3", "-c", host, "-p", str(port), "-t", str(seconds), *options]


def transfer(services, address, seconds, *options):
    """What iperf3 says at the end of a transfer. A tunnel may lose the datagram that begins one: it is tried again."""
    said = {}
    for _ in range(TRIES):
        with services.iperf_server():
            said = run_iperf(iperf_command(address, seconds, "-J", *options), seconds)
        if "end" in said and "error" not in said:
            return said["end"]
    raise Failure(f"iperf3: {said.get('error', 'printed nothing')}")


def run_iperf(command, seconds):
    try:
        output = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30, check=False).stdout
    except subprocess.TimeoutExpired:
        return {"error": f"not done after {seconds + 30} s"}
    return json.loads(output or "{}")


class Stream(asyncio.Protocol):
    """One connection of the echo."""

    def connection_made(self, transport):
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data):
        self.transport.write(data)


class Datagrams(asyncio.DatagramProtocol):
    """The echo of datagrams."""

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        self.transport.sendto(data, address)


async def echo(host, port):
    """Runs as a process of its own, beside what measures."""
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(Datagrams, local_addr=(host, port))
    server = await loop.create_server(Stream, host, port, backlog=8192)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(echo(sys.argv[1], int(sys.argv[2])))
