"""Measures hnswlib or Faiss HNSW. Takes one command a line, answers each with one line of JSON:

    build        insert all rows (M 16, efConstruction 200, 2 threads)
    recall EF    recall@10 over all queries
    search EF    queries a second of 1 thread, over the first 2,000 queries: `single`, one call from Python each, and
                 `batch`, all in one call, which is the library's own speed without Python's share in every query
"""

import argparse
import ctypes
import gc
import json
import sys
import time

import numpy as np

from data import normalised, read_truth, read_vectors

K = 10
M = 16
EF_CONSTRUCTION = 200
BUILD_THREADS = 2
TIMED_QUERIES = 2_000
WARM_UP = 200


class Hnswlib:
    def __init__(self, base, metric):
        import hnswlib

        self.base = base
        self.index = hnswlib.Index(space=metric, dim=base.shape[1])

    def build(self):
        self.index.init_index(max_elements=len(self.base), M=M, ef_construction=EF_CONSTRUCTION)
        self.index.add_items(self.base, num_threads=BUILD_THREADS)

    def set_ef(self, ef):
        self.index.set_ef(ef)

    def search(self, queries):
        return self.index.knn_query(queries, k=K, num_threads=1)[1]


class Faiss:
    """Faiss has no cosine: its inner product of normalised vectors is the same search."""

    def __init__(self, base, metric):
        import faiss

        self.faiss = faiss
        self.cosine = metric == "cosine"
        self.base = normalised(base) if self.cosine else base
        kind = faiss.METRIC_INNER_PRODUCT if self.cosine else faiss.METRIC_L2
        self.index = faiss.IndexHNSWFlat(base.shape[1], M, kind)
        self.index.hnsw.efConstruction = EF_CONSTRUCTION

    def build(self):
        self.faiss.omp_set_num_threads(BUILD_THREADS)
        self.index.add(self.base)
        self.faiss.omp_set_num_threads(1)

    def set_ef(self, ef):
        self.index.hnsw.efSearch = ef

    def search(self, queries):
        distances = self.index.search(queries, K)[0]
        return 1 - distances if self.cosine else distances


class Driver:
    def __init__(self, library, base, queries, truth, cosine):
        self.library = library
        self.rows = len(base)
        # The libraries normalise or not; a query's length changes nothing.
        self.queries = normalised(queries) if cosine else queries
        self.truth = truth
        self.singles = [self.queries[i : i + 1] for i in range(min(TIMED_QUERIES, len(queries)))]

    def build(self):
        before = resident_bytes()
        start = time.perf_counter()
        self.library.build()
        seconds = time.perf_counter() - start
        return {"rows": self.rows, "seconds": seconds, "bytes": resident_bytes() - before}

    def recall(self, ef):
        self.library.set_ef(ef)
        return {"ef": ef, "recall": recall(self.library.search(self.queries), self.truth)}

    def search(self, ef):
        self.library.set_ef(ef)
        for query in self.singles[:WARM_UP]:
            self.library.search(query)
        start = time.perf_counter()
        for query in self.singles:
            self.library.search(query)
        middle = time.perf_counter()
        self.library.search(self.queries[:TIMED_QUERIES])
        end = time.perf_counter()
        count = len(self.singles)
        return {"ef": ef, "single": count / (middle - start), "batch": count / (end - middle)}


def recall(distances, truth):
    """The share of hits that are no farther than the true k-th, so that ties count; the margin is single precision's."""
    bound = truth[:, K - 1 : K]
    return float(np.mean(distances <= bound + 1e-5 * np.abs(bound) + 1e-6))


def resident_bytes():
    """What this process holds in memory, after handing what is free back to the system."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("library", choices=["hnswlib", "faiss"])
    parser.add_argument("--base", required=True)
    parser.add_argument("--query", required=True)
    parser.add_argument("--truth", required=True)
    parser.add_argument("--metric", choices=["l2", "cosine"], default="l2")
    parser.add_argument("--rows", type=int)
    options = parser.parse_args()

    base = read_vectors(options.base, options.rows)
    library = {"hnswlib": Hnswlib, "faiss": Faiss}[options.library](base, options.metric)
    truth = read_truth(options.truth)[1]
    driver = Driver(library, base, read_vectors(options.query), truth, options.metric == "cosine")
    for line in sys.stdin:
        name, *arguments = line.split()
        answer = getattr(driver, name)(*map(int, arguments))
        print(json.dumps({"library": options.library, "what": name, **answer}), flush=True)


main()
