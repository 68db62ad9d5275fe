"""What is measured over a path that is long, slow or lossy: how much of it is used, how long a keystroke takes."""

import contextlib

from measures import percentiles, pings_under_bulk
from place import Shape, path
from services import Services, transfer
from tunnels import Direct, Tunnel

FAT = Shape(rate=100e6, delay=0.05, patience=0.1)
SLOW = Shape(rate=2e6, delay=0.025, patience=0.2)
LOSSES = 1, 3  # %
VISITORS = 8
RAMP = 4  # seconds, not counted, until congestion control and windows know the path
DOWN = "-R"  # to the visitor


def fat(tunnel, _, seconds):
    with over(FAT, tunnel) as (far, services):
        rate = throughput(far, services, seconds)
    return {"fat path, one visitor": 100 * rate / FAT.rate}


def slow(tunnel, _, __):
    with over(SLOW, tunnel) as (far, services):
        trips = pings_under_bulk(far, services, RAMP, DOWN)
    return {key: trip / 1000 for key, trip in percentiles("slow path, keystroke under bulk", trips).items()}


def lossy(tunnel, _, seconds):
    values = {}
    for loss in LOSSES:
        with over(Shape(rate=100e6, delay=0.025, patience=0.1, loss=loss / 100), tunnel) as (far, services):
            rate = throughput(far, services, seconds, "-P", str(VISITORS))
        values[f"lossy path, {loss} %, eight visitors"] = rate / 1e6
    return values


@contextlib.contextmanager
def over(shape, tunnel):
    """The same tunnel, and services of its own, over a path of that shape."""
    work = tunnel.services.work
    with path(shape, work / "path.log") as place, Services(work, False, place) as services:
        far = move(tunnel, services)
        try:
            far.start()
            yield far, services
        finally:
            far.stop()


def move(tunnel, services):
    if tunnel.kind == "direct":
        return Direct(tunnel.name, services)
    return Tunnel(tunnel.name, tunnel.path, services, {"echo": "tcp", "iperf": "tcp"}, tunnel.keys)


def throughput(far, services, seconds, *options):
    """Bits per second that arrive."""
    end = transfer(services, far.address("iperf"), seconds, DOWN, "--omit", str(RAMP), *options)
    return end["sum_received"]["bits_per_second"]


PATHS = {"fat": fat, "slow": slow, "lossy": lossy}
