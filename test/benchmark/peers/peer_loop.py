#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""bench_loop's workloads in Python: peer_loop.py asyncio|uvloop WORKLOAD [N].

Prints "RESULT workload ops value unit"; with the WORKLOAD list, the names. N is the number of
operations."""
import asyncio
import contextlib
import os
import random
import sys
import time


@contextlib.contextmanager
def new_loop():
    loop = asyncio.new_event_loop()
    try:
        yield loop
    finally:
        loop.close()


class Timed:
    """with Timed(operations) as timed: ... Then `timed.result` is nanoseconds per operation."""

    def __init__(self, operations, clock=time.perf_counter):
        self.operations, self.clock, self.seconds = operations, clock, 0

    def __enter__(self):
        self.begin = self.clock()
        return self

    def __exit__(self, *_):
        self.seconds += self.clock() - self.begin

    @property
    def result(self):
        return self.operations, self.seconds * 1e9 / self.operations, "ns"


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def run_one_pass(loop):
    loop.call_soon(loop.stop)
    loop.run_forever()


# ---- callbacks

def soon_chain(n):
    with new_loop() as loop:
        def step():
            nonlocal n
            n -= 1
            if n == 0:
                loop.stop()
            else:
                loop.call_soon(step)

        timed = Timed(n)
        loop.call_soon(step)
        with timed:
            loop.run_forever()
    return timed.result


def soon_batch(n):
    with new_loop() as loop, Timed(n) as timed:
        ran = 0

        def count():
            nonlocal ran
            ran += 1

        for _ in range(n):
            loop.call_soon(count)
        run_one_pass(loop)
        assert ran == n
    return timed.result


# ---- tasks

async def at_once(value):
    return value


def spawn_gather(n):
    thousands = max(n // 1000, 1)

    async def gather_thousands():
        for _ in range(thousands):
            results = await asyncio.gather(*[at_once(k) for k in range(1000)])
            assert results[-1] == 999

    with new_loop() as loop, Timed(thousands * 1000) as timed:
        loop.run_until_complete(gather_thousands())
    return timed.result


def yield_(n):
    tasks = 100
    times = max(n // tasks, 1)

    async def yield_often():
        for _ in range(times):
            await asyncio.sleep(0)

    async def side_by_side():
        await asyncio.gather(*[yield_often() for _ in range(tasks)])

    with new_loop() as loop, Timed(tasks * times) as timed:
        loop.run_until_complete(side_by_side())
    return timed.result


def pingpong(n):
    async def send_back(source, target):
        for _ in range(n):
            await target.put(await source.get())

    async def play():
        there, back = asyncio.Queue(1), asyncio.Queue(1)
        other = asyncio.create_task(send_back(there, back))
        for _ in range(n):
            await there.put(1)
            await back.get()
        await other

    with new_loop() as loop, Timed(n) as timed:
        loop.run_until_complete(play())
    return timed.result


def await_depth(n):
    depth = 100
    times = max(n // depth, 1)

    async def nested(levels):
        return 0 if levels == 0 else await nested(levels - 1) + 1

    async def nest():
        for _ in range(times):
            assert await nested(depth) == depth

    with new_loop() as loop, Timed(times * depth) as timed:
        loop.run_until_complete(nest())
    return timed.result


# ---- cancelling

async def wait_below(future, depth):
    if depth == 1:
        await future
    else:
        await wait_below(future, depth - 1)


def cancel_at_depth(n, depth):
    groups = max(n // 1000, 1)
    timed = Timed(groups * 1000)
    with new_loop() as loop:
        for _ in range(groups):
            tasks = [loop.create_task(wait_below(loop.create_future(), depth))
                     for _ in range(1000)]
            run_one_pass(loop)  # now all of them wait
            with timed:
                for task in tasks:
                    task.cancel()
                while not tasks[-1].done():
                    run_one_pass(loop)
            assert tasks[0].cancelled()
    return timed.result


def cancel(n):
    return cancel_at_depth(n, 1)


def cancel_depth10(n):
    return cancel_at_depth(n, 10)


# ---- timers

def timer_cancel(n):
    uniform = random.Random(12345).random
    with new_loop() as loop, Timed(n) as timed:
        timers = [loop.call_later(uniform(), int) for _ in range(n)]
        for timer in timers:
            timer.cancel()
        run_one_pass(loop)
    return timed.result


def timer_fire(n):
    uniform = random.Random(12345).random
    timed = Timed(n, time.process_time)
    with new_loop() as loop:
        def fire():
            nonlocal n
            n -= 1
            if n == 0:
                loop.stop()

        with timed:
            for _ in range(n):
                loop.call_later(uniform(), fire)
            loop.run_forever()
    return timed.result


# ---- memory

def idle_mem(n):
    async def wait_for(event):
        await event.wait()

    async def measure():
        event = asyncio.Event()
        before = resident()
        tasks = [asyncio.create_task(wait_for(event)) for _ in range(n)]
        await asyncio.sleep(0)
        used = resident() - before
        event.set()
        await asyncio.wait(tasks)
        return n, used / n, "B"

    with new_loop() as loop:
        return loop.run_until_complete(measure())


WORKLOADS = {  # and how many operations, unless told
    "soon_chain": (soon_chain, 1_000_000),
    "soon_batch": (soon_batch, 1_000_000),
    "spawn_gather": (spawn_gather, 200_000),
    "pingpong": (pingpong, 100_000),
    "yield": (yield_, 1_000_000),
    "timer_cancel": (timer_cancel, 1_000_000),
    "timer_fire": (timer_fire, 100_000),
    "await_depth": (await_depth, 5_000_000),
    "idle_mem": (idle_mem, 200_000),
    "cancel": (cancel, 100_000),
    "cancel_depth10": (cancel_depth10, 50_000),
}


def main(arguments):
    if arguments[1:] == ["list"]:
        print("\n".join(WORKLOADS))
        return
    try:
        library, name, *count = arguments
        workload, usual = WORKLOADS[name]
        count = int(count[0]) if count else usual
    except (ValueError, KeyError):
        sys.exit(__doc__)
    if library == "uvloop":
        import uvloop
        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    operations, value, unit = workload(count)
    print(f"RESULT {name} {operations} {value:.2f} {unit}")


if __name__ == "__main__":
    main(sys.argv[1:])
