"""The clock of processor time: it moves with work of this process, and not while the process rests."""

import time

from embodia.core.clock import ProcessorClock


def test_resting_costs_nothing_and_work_does():
    clock = ProcessorClock()
    before = clock.now_s()
    time.sleep(0.2)
    rested = clock.now_s()
    assert rested - before < 0.1
    clock.sleep(0.05)
    assert clock.now_s() - rested >= 0.05
