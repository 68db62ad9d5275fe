"""The figures, and how much better than rathole 0.5.0 they must be, or how good by themselves."""

from dataclasses import dataclass
from typing import Optional

MORE, LESS, NOT_MORE = "≥", "≤", "not more"
PLAIN = "pinhole-plain"  # our own column without Noise, in a measurement with it


@dataclass
class Figure:
    """One row. `plain` and `noise` are floors of the ratio to rathole, `own` of Noise's to our own plain figure.

    `target` is a floor of the figure itself, `direct` of its ratio to that without a tunnel, less an `allowance`.
    """

    key: str
    unit: str
    better: str
    plain: Optional[float] = None
    noise: Optional[float] = None
    own: Optional[float] = None
    target: Optional[float] = None
    direct: Optional[float] = None
    allowance: float = 0


CROWDS = {"visitor": (1000, 10000), "client": (100, 1000), "service": (100, 1000)}
LINEAR = 1.5  # times what each takes when there are ten times as many; it would be ten if all had to do with all
WAKEUPS = 0.5  # a second for each client: heartbeats every 13 s both ways, with their answers and timers
HEARTBEATS = 100  # µs of CPU a second for each client: those heartbeats, on a slow machine, too
DRAIN = 30  # ms: one batch of BATCH_TIME in src/limits.rs on its way, and one that the kernel may hold unsent


def crowd(what, count):
    """The figures of a crowd."""
    yield Figure(f"{count:,} {what}s there", "s", LESS)
    yield Figure(f"{count:,} {what}s there, growth", "", LESS, target=LINEAR)
    for side in ("server", "client"):
        yield Figure(f"{side} per {what}", "KiB", LESS)
        yield Figure(f"{side} per {what}, growth", "", LESS, target=LINEAR)
        yield Figure(f"{count:,} {what}s idle, {side} CPU", "µs/s a client", LESS, target=HEARTBEATS)
        yield Figure(f"{count:,} {what}s idle, {side} wake-ups", "/s a client", LESS, target=WAKEUPS)


FIGURES = [
    Figure("tcp1 throughput", "Gbit/s", MORE, 1.5, 1.7),
    Figure("tcp1 CPU", "s/GB", LESS, 0.65, 0.55),
    Figure("tcp8r throughput", "Gbit/s", MORE),
    Figure("tcp8r CPU", "s/GB", LESS, 0.7, 0.55),
    Figure("udp300 loss", "%", NOT_MORE, 0, 0),
    Figure("udp300 CPU", "s/GB", LESS, 0.5, 0.5),
    Figure("udpmax arrived", "Mbit/s", MORE, 1.5, 1.5),
    Figure("http keepalive", "req/s", MORE, 1.2, 1.2),
    Figure("http keepalive CPU", "µs/req", LESS, 0.75, 0.75),
    Figure("http keepalive p99", "ms", LESS),
    Figure("http keepalive errors", "", NOT_MORE),
    Figure("http newconn", "req/s", MORE, 1.3, own=0.8),
    Figure("http newconn CPU", "µs/req", LESS, 0.7),
    Figure("http newconn p99", "ms", LESS),
    Figure("http newconn errors", "", NOT_MORE),
    Figure("rtt p50", "µs", LESS, 1.15, 1),
    Figure("rtt p99", "µs", LESS, 1.25, 1.1),
    Figure("rtt under bulk p50", "µs", LESS, 0.15, 0.2),
    Figure("rtt under bulk p99", "µs", LESS, 0.4, 0.5),
    Figure("server idle, anonymous", "KiB", LESS, 0.4, 0.15),
    Figure("client idle, anonymous", "KiB", LESS, 0.4, 0.15),
    Figure("server idle, RSS", "KiB", LESS),
    Figure("client idle, RSS", "KiB", LESS),
    Figure("server per open connection", "KiB", LESS, 0.12, 0.02),
    Figure("client per open connection", "KiB", LESS, 0.12, 0.02),
    Figure("server after 2,000, RSS", "KiB", LESS, 0.1, 0.02),
    Figure("client after 2,000, RSS", "KiB", LESS, 0.1, 0.02),
    *(figure for what, (_, count) in CROWDS.items() for figure in crowd(what, count)),
    Figure("fat path, one visitor", "% of 100 Mbit/s", MORE, target=90),
    Figure("slow path, keystroke under bulk p50", "ms", LESS, direct=1.25, allowance=DRAIN),
    Figure("slow path, keystroke under bulk p99", "ms", LESS),
    Figure("lossy path, 1 %, eight visitors", "Mbit/s", MORE),
    Figure("lossy path, 3 %, eight visitors", "Mbit/s", MORE),
]
