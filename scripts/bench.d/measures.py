"""What is measured of a tunnel. Each measure gives values by the keys of figures; CPU is the tunnel's alone."""

import contextlib
import re
import socket
import subprocess
import time

from services import iperf_command, transfer
from system import Failure, Process, cpu_seconds, memory

DATAGRAMS = ("-u", "-l", "1400")
BROWSERS = 64  # connections of wrk
PINGS, PINGS_UNDER_BULK = 1000, 500
PING = b"p" * 64
PING_SECONDS = 20  # no more pings after so long: the median of fewer will do
RAMP = 1  # seconds until a bulk transfer has filled what there is to fill
CONNECTIONS = 2000
AFTER = 2  # seconds after the last connection's end in which a tunnel may tidy up
SETTLED = 0.3  # seconds without CPU time


def tcp1(tunnel, services, seconds):
    return stream(tunnel, services, seconds, "tcp1")


def tcp8(tunnel, services, seconds):
    return stream(tunnel, services, seconds, "tcp8r", "-P", "8", "-R")


def stream(tunnel, services, seconds, name, *options):
    end, cpu = cost(tunnel, lambda: transfer(services, tunnel.address("iperf"), seconds, *options))
    received = end["sum_received"]
    rate, gigabytes = received["bits_per_second"] / 1e9, received["bytes"] / 1e9
    return {f"{name} throughput": rate} | per(cpu, gigabytes, f"{name} CPU")


def udp(tunnel, services, seconds):
    """At a rate that all can carry, and as much as is possible. What arrived is what the receiver counted."""
    require_datagrams(tunnel.address("echo-udp"))
    address = tunnel.address("iperf-udp")
    end, cpu = cost(tunnel, lambda: transfer(services, address, seconds, *DATAGRAMS, "-b", "300M"))
    received, sent = end["sum_received"]["bytes"], (end.get("sum_sent") or end["sum"])["bytes"]
    most = transfer(services, address, seconds, *DATAGRAMS, "-b", "0")["sum_received"]["bytes"]
    values = {"udp300 loss": 100 * (1 - received / sent), "udpmax arrived": most * 8 / seconds / 1e6}
    return values | per(cpu, received / 1e9, "udp300 CPU")


def require_datagrams(address):
    """iperf3 would not say why it waits."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as visitor:
        visitor.settimeout(1)
        for _ in range(5):
            visitor.sendto(PING, address)
            with contextlib.suppress(OSError):
                visitor.recv(len(PING))
                return
    raise Failure("no datagram comes back")


def http(tunnel, _, seconds):
    values = requests(tunnel, seconds, "http keepalive")
    return values | requests(tunnel, seconds, "http newconn", "-H", "Connection: close")


def requests(tunnel, seconds, name, *options):
    host, port = tunnel.address("http")
    url = f"http://{host}:{port}/"
    command = ["wrk", "-t1", f"-c{BROWSERS}", f"-d{seconds}s", "--latency", *options, url]
    said, cpu = cost(tunnel, lambda: run_wrk(command, seconds))
    rate = re.search(r"Requests/sec: +([\d.]+)", said)
    p99 = re.search(r"99% +([\d.]+)(us|ms|s)", said)
    if not rate or not p99:
        raise Failure(f"wrk: {said.strip()[-200:] or 'printed nothing'}")
    milliseconds = float(p99[1]) * {"us": 1e-3, "ms": 1, "s": 1e3}[p99[2]]
    values = {name: float(rate[1]), f"{name} p99": milliseconds, f"{name} errors": errors(said)}
    return values | per(cpu * 1e6, float(rate[1]) * seconds, f"{name} CPU")


def run_wrk(command, seconds):
    return subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30, check=False).stdout


def errors(said):
    """wrk has these lines only if there is something to complain about."""
    lines = re.findall(r"^ *(?:Socket errors|Non-2xx or 3xx responses): (.*)$", said, re.MULTILINE)
    return sum(int(number) for line in lines for number in re.findall(r"\d+", line))


def rtt(tunnel, services, seconds):
    idle = pings(tunnel, PINGS)
    loaded = pings_under_bulk(tunnel, services, RAMP, "-P", "2")
    return percentiles("rtt", idle) | percentiles("rtt under bulk", loaded)


def pings_under_bulk(tunnel, services, ramp, *options):
    """Beside transfers that last until they are told to end."""
    command = iperf_command(tunnel.address("iperf"), ramp + 2 * PING_SECONDS, *options)
    with services.iperf_server(), Process(command, services.work / "bulk.log") as transfers:
        time.sleep(ramp)
        trips = pings(tunnel, PINGS_UNDER_BULK)
        if transfers.poll() is not None:
            raise Failure(f"the bulk transfer ended early: {transfers.last_words()}")
    return trips


def pings(tunnel, count):
    """Round trips in µs, sorted: one at a time, a millisecond between them."""
    trips, end = [], time.monotonic() + PING_SECONDS
    with socket.create_connection(tunnel.address("echo"), 5) as visitor:
        visitor.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while len(trips) < count and time.monotonic() < end:
            begin = time.perf_counter()
            exchange(visitor)
            trips.append((time.perf_counter() - begin) * 1e6)
            time.sleep(0.001)
    return sorted(trips)


def exchange(visitor):
    visitor.sendall(PING)
    missing = len(PING)
    while missing:
        received = len(visitor.recv(missing))
        if not received:
            raise Failure("the echo was closed")
        missing -= received


def percentiles(name, trips):
    return {f"{name} p{part}": trips[len(trips) * part // 100] for part in (50, 99)}


def mem(tunnel, _, __):
    """Memory of fresh processes, with many open connections, and when those are closed."""
    if not tunnel.processes:
        return {}
    tunnel.stop()
    tunnel.start()
    idle = sizes(tunnel)
    with contextlib.ExitStack() as visitors:
        for _ in range(CONNECTIONS):
            exchange(visitors.enter_context(socket.create_connection(tunnel.address("echo"), 10)))
        settle(tunnel)
        full = sizes(tunnel)
    time.sleep(AFTER)
    after = sizes(tunnel)
    values = {}
    for role, old, most, new in zip(("server", "client"), idle, full, after):
        values |= {f"{role} idle, RSS": old[0], f"{role} idle, anonymous": old[1]}
        values |= {f"{role} per open connection": (most[1] - old[1]) / CONNECTIONS}
        values |= {f"{role} after 2,000, RSS": new[0]}
    return values


def sizes(tunnel):
    return [memory(process) for process in tunnel.processes]


def cost(tunnel, work):
    """What `work` gives, and the CPU seconds that the tunnel took for it."""
    settle(tunnel)
    before = cpu_seconds(tunnel.processes)
    result = work()
    return result, cpu_seconds(tunnel.processes) - before


def settle(tunnel):
    """Waits until what was before is over for the tunnel, too; not for ever."""
    for _ in range(10):
        before = cpu_seconds(tunnel.processes)
        time.sleep(SETTLED)
        if cpu_seconds(tunnel.processes) == before:
            return


def per(cpu, amount, key):
    """CPU time by amount, unless there is none of either."""
    return {key: cpu / amount} if cpu and amount else {}


MEASURES = {"tcp1": tcp1, "tcp8": tcp8, "udp": udp, "http": http, "rtt": rtt, "mem": mem}
PROGRAMS = {
    "tcp1": ["iperf3"],
    "tcp8": ["iperf3"],
    "udp": ["iperf3"],
    "http": ["nginx", "wrk"],
    "rtt": ["iperf3"],
    "mem": [],
}
