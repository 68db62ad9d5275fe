"""A path in user space: carries packets between two TUN devices at a rate, with a delay, and loses some of them.

A process of its own: forwarder.py DESCRIPTOR DESCRIPTOR and the fields of place.Shape.
"""

import math
import os
import random
import select
import sys
import time
from collections import deque

PACKET = 65536  # bytes of the largest one
BURST = 64  # packets taken from one side until the other has its turn


class Line:
    """One direction: a packet waits until those before it have left, is lost if that takes too long, and travels."""

    def __init__(self, rate, delay, patience, loss, seed):
        self.rate, self.delay, self.patience, self.loss = rate / 8, delay, patience, loss
        self.chance = random.Random(seed)
        self.free = 0.0  # the time at which all that was taken will have left
        self.under_way = deque()

    def take(self, packet, now):
        begin = max(self.free, now)
        if begin - now > self.patience:
            return
        self.free = begin + len(packet) / self.rate
        if self.chance.random() >= self.loss:
            self.under_way.append((self.free + self.delay, packet))

    def arrived(self, now):
        """The packets that are there by now."""
        while self.under_way and self.under_way[0][0] <= now:
            yield self.under_way.popleft()[1]

    def next(self):
        """When the next one is there."""
        return self.under_way[0][0] if self.under_way else math.inf


def packets(device):
    """What waits in a device, as far as it has its turn."""
    for _ in range(BURST):
        try:
            yield os.read(device, PACKET)
        except BlockingIOError:
            return


def forward(ways):
    """Carries packets until it is ended; `ways` are a device, a line, and the device that it leads to."""
    devices = [source for source, _, _ in ways]
    while True:
        pause = min(line.next() for _, line, _ in ways) - time.monotonic()
        select.select(devices, [], [], None if pause == math.inf else max(0, pause))
        for source, line, sink in ways:
            for packet in packets(source):
                line.take(packet, time.monotonic())
            for packet in line.arrived(time.monotonic()):
                os.write(sink, packet)


if __name__ == "__main__":
    one, other = map(int, sys.argv[1:3])
    shape = list(map(float, sys.argv[3:]))
    forward([(one, Line(*shape, seed=1), other), (other, Line(*shape, seed=2), one)])
