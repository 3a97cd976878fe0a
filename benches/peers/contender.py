"""One network in one framework: prints `{"first_ms": …, "median_us": …, "loss": …}`.

    contender.py FRAMEWORK NETWORK THREADS SECONDS
"""

import json
import os
import statistics
import sys
import time

import dense
import zoo
from compare import parse


def main():
    framework, network, threads, seconds = sys.argv[1], parse(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    os.environ["OMP_NUM_THREADS"] = str(threads)
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    os.environ["JAX_PLATFORMS"] = "cpu"
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    steps = zoo.FRAMEWORKS if isinstance(network, zoo.Zoo) else dense.FRAMEWORKS
    step = steps[framework](network, threads)
    start = time.perf_counter()
    step()
    first = time.perf_counter() - start
    end = time.perf_counter() + seconds / 4
    while time.perf_counter() < end:
        step()
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    print(json.dumps({"first_ms": first * 1e3, "median_us": statistics.median(times) * 1e6, "loss": step()}))


if __name__ == "__main__":
    main()
