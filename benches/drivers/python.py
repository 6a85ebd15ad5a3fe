"""Measures a library that Python calls; the name of the library comes first. Takes one command a line and answers each
with one line of JSON; see benches/README.md for the commands.

A call from Python costs some microseconds in every query. `single` has them, `batch`, all queries in one call on the
same single thread, is the library's own speed.
"""

import argparse
import ctypes
import gc
import importlib.metadata
import json
import sys
import time

import numpy as np

from libraries import K, LIBRARIES
from vectors import open_vectors, read_truth

TIMED_QUERIES = 2_000
WARM_UP = 200


class Driver:
    def __init__(self, options):
        self.options = options
        self.library = LIBRARIES[options.library](options.metric)

    def open(self):
        query = open_vectors(self.options.query)
        self.queries = self.library.queries(query)
        self.singles = [self.queries[i : i + 1] for i in range(min(TIMED_QUERIES, len(self.queries)))]
        self.accepted = accepted(*read_truth(self.options.truth))
        return {"version": importlib.metadata.version(self.library.package)}

    def build(self):
        """Rows are in memory before; what the library makes of them counts."""
        self.library.load(np.array(open_vectors(self.options.base)[: self.options.rows]))
        before = resident_bytes()
        reset_peak()
        start = time.perf_counter()
        self.library.build()
        seconds = time.perf_counter() - start
        peak = peak_bytes()
        resting = resident_bytes()
        self.library.base = None
        return {
            "seconds": seconds,
            "restingBytes": resting - before,
            "peakBytes": None if peak is None else peak - before,
            "parameters": self.library.parameters,
        }

    def recall(self, ef):
        self.library.set_ef(ef)
        found = self.library.search(self.queries)
        hits = sum(len(nearest.intersection(row)) for nearest, row in zip(self.accepted, found.tolist()))
        return {"recall": hits / (len(self.accepted) * K)}

    def search(self, ef):
        self.library.set_ef(ef)
        for query in self.singles[:WARM_UP]:
            self.library.search(query)
        times = [time.perf_counter_ns()]
        for query in self.singles:
            self.library.search(query)
            times.append(time.perf_counter_ns())
        answer = {"single": summary(np.diff(times) / 1e3)}
        if self.library.batches:
            queries = self.queries[:TIMED_QUERIES]
            start = time.perf_counter()
            self.library.search(queries)
            answer["batch"] = {"qps": len(queries) / (time.perf_counter() - start)}
        return answer


def accepted(ids, distances):
    """Per query the rows that count as hits: no farther than the true k-th, so that ties count."""
    bound = distances[:, K - 1 : K]
    near = distances <= bound + 1e-6 * np.abs(bound)
    return [set(row[mask].tolist()) for row, mask in zip(ids, near)]


def summary(micros):
    p50, p99 = np.percentile(micros, [50, 99])
    return {"qps": 1e6 * len(micros) / float(np.sum(micros)), "p50": float(p50), "p99": float(p99)}


def resident_bytes():
    """What this process holds in memory, after handing what is free back to the system."""
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)
    return status_bytes("VmRSS:") or 0


def reset_peak():
    if sys.platform == "linux":
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")


def peak_bytes():
    return status_bytes("VmHWM:")


def status_bytes(field):
    """Of this process, where the system tells."""
    if sys.platform != "linux":
        return None
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith(field))
    return int(line.split()[1]) * 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("library", choices=LIBRARIES)
    parser.add_argument("--base", required=True)
    parser.add_argument("--query", required=True)
    parser.add_argument("--truth", required=True)
    parser.add_argument("--metric", choices=["l2", "cosine"], default="l2")
    parser.add_argument("--rows", type=int, required=True)
    try:
        driver = Driver(parser.parse_args())
        for line in sys.stdin:
            name, *arguments = line.split()
            print(json.dumps(getattr(driver, name)(*map(int, arguments))), flush=True)
    except Exception as error:
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}), flush=True)
        sys.exit(1)


main()
