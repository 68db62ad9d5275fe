"""The path that `paths.py` measures over: what its lines do to packets, and that packets of TCP get through it."""

import contextlib
import os
import socket
import tempfile
import time
import unittest
from pathlib import Path

from forwarder import Line
from place import Shape, path

PACKET = bytes(1000)


def sent(line, count, now=0.0):
    for _ in range(count):
        line.take(PACKET, now)


class Lines(unittest.TestCase):
    def test_a_packet_takes_its_own_time_and_the_delay(self):
        line = Line(rate=8e6, delay=0.05, patience=1, loss=0, seed=1)
        sent(line, 2)
        self.assertAlmostEqual(line.next(), 0.051)
        self.assertEqual(list(line.arrived(0.0509)), [])
        self.assertEqual(list(line.arrived(0.0511)), [PACKET])
        self.assertAlmostEqual(line.next(), 0.052)

    def test_a_line_that_rests_owes_nothing(self):
        line = Line(rate=8e6, delay=0, patience=1, loss=0, seed=1)
        sent(line, 1)
        sent(line, 1, now=10.0)
        self.assertEqual(len(list(line.arrived(9.0))), 1)
        self.assertAlmostEqual(line.next(), 10.001)

    def test_what_would_wait_too_long_is_lost(self):
        line = Line(rate=8e6, delay=0, patience=0.0095, loss=0, seed=1)
        sent(line, 100)
        self.assertEqual(len(list(line.arrived(1))), 10)

    def test_so_many_are_lost_and_always_the_same(self):
        def lost(seed):
            line = Line(rate=8e6, delay=0, patience=100, loss=0.03, seed=seed)
            sent(line, 10000)
            return 10000 - len(list(line.arrived(100)))

        self.assertEqual(lost(1), lost(1))
        self.assertTrue(250 < lost(1) < 350, lost(1))


@unittest.skipUnless(os.geteuid() == 0 and os.path.exists("/dev/net/tun"), "only root may make networks")
class Paths(unittest.TestCase):
    def test_a_round_trip_takes_both_delays(self):
        with contextlib.ExitStack() as stack:
            work = stack.enter_context(tempfile.TemporaryDirectory())
            place = stack.enter_context(path(Shape(rate=1e8, delay=0.03, patience=1), Path(work) / "path.log"))
            with place.inside():
                server = stack.enter_context(socket.create_server((place.home, 0)))
            begin = time.monotonic()
            stack.enter_context(socket.create_connection(server.getsockname(), 5))
            self.assertGreater(time.monotonic() - begin, 0.06)


if __name__ == "__main__":
    unittest.main()
