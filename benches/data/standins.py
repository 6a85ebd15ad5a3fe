"""Makes a stand-in for a well-known set out of SIFT descriptors, the same at every call and on every machine.

gist-960, for GIST1M: a row is a descriptor, and with .6 of its weight a second one that stands elsewhere in the set,
each turned into 960 dimensions by a matrix of its own with orthonormal rows; Gaussian noise of .02 of the mean length of
a row is added. The median local intrinsic dimensionality is 28 where the descriptors have 19 (100,000 rows, 100
neighbors).

deep-96, for Deep1B (unit length): a descriptor less the mean of the first ones, turned into 96 dimensions by a matrix
with orthonormal columns and scaled to unit length, plus Gaussian noise of length .35, and scaled again (23 where the
descriptors have 19). There may be more rows than descriptors: row i uses descriptor i modulo their number with other
noise. Rows of one descriptor are then nearer to each other (about .47) than to most others (.7 and more).

Row i depends on i alone, so a smaller set is the beginning of a larger one. Files are f16bin.
"""

import argparse
import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../drivers"))
from vectors import open_vectors, write_header

BLOCK = 10_000
SECOND = 0.6
GIST_NOISE = 0.02
DEEP_NOISE = 0.35
# Prime, so that the second descriptor is another one for sets of all sizes but its multiples.
STRIDE = 611_953


def orthonormal(rows, columns, seed):
    """A random matrix whose shorter side is orthonormal."""
    tall = np.random.default_rng(seed).standard_normal((max(rows, columns), min(rows, columns)))
    q = np.linalg.qr(tall)[0]
    return (q if rows >= columns else q.T).astype(np.float32)


class Gist:
    dimensions = 960

    def __init__(self, descriptors):
        self.first = orthonormal(descriptors.shape[1], self.dimensions, seed=1)
        self.second = orthonormal(descriptors.shape[1], self.dimensions, seed=2)

    def rows(self, descriptors, numbers, random):
        n = len(descriptors)
        here = descriptors[numbers % n].astype(np.float32)
        there = descriptors[(numbers * STRIDE + 1) % n].astype(np.float32)
        turned = (here @ self.first + SECOND * (there @ self.second)) / 512
        noise = random.standard_normal(turned.shape, dtype=np.float32)
        length = np.mean(np.linalg.norm(turned, axis=1))
        return turned + noise * (GIST_NOISE * length / np.sqrt(self.dimensions))


class Deep:
    dimensions = 96

    def __init__(self, descriptors):
        self.turn = orthonormal(descriptors.shape[1], self.dimensions, seed=3)
        self.mean = np.mean(descriptors[:BLOCK], axis=0, dtype=np.float32)

    def rows(self, descriptors, numbers, random):
        turned = (descriptors[numbers % len(descriptors)].astype(np.float32) - self.mean) @ self.turn
        turned /= np.linalg.norm(turned, axis=1, keepdims=True)
        noise = random.standard_normal(turned.shape, dtype=np.float32)
        turned += noise * (DEEP_NOISE / np.sqrt(self.dimensions))
        return turned / np.linalg.norm(turned, axis=1, keepdims=True)


def write(path, kind, descriptors, count, seed):
    with open(path, "wb") as file:
        write_header(file, count, kind.dimensions)
        for block in range(0, count, BLOCK):
            numbers = np.arange(block, min(block + BLOCK, count), dtype=np.int64)
            random = np.random.default_rng([seed, block])
            kind.rows(descriptors, numbers, random).astype("<f2").tofile(file)


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("kind", choices=["gist-960", "deep-96"])
parser.add_argument("--base", required=True)
parser.add_argument("--query", required=True)
parser.add_argument("--rows", type=int, required=True)
parser.add_argument("--out", required=True, help="a folder")
options = parser.parse_args()

base, query = open_vectors(options.base), open_vectors(options.query)
kind = {"gist-960": Gist, "deep-96": Deep}[options.kind](base)
write(os.path.join(options.out, "base.f16bin"), kind, base, options.rows, seed=10)
write(os.path.join(options.out, "query.f16bin"), kind, query, len(query), seed=11)
