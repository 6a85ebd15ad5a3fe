"""Writes the exact nearest neighbors of all queries among the first rows of a base: Faiss's flat index."""

import argparse

import faiss

from data import normalised, read_vectors, write_truth

K = 100

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--base", required=True)
parser.add_argument("--query", required=True)
parser.add_argument("--metric", choices=["l2", "cosine"], default="l2")
parser.add_argument("--rows", type=int)
parser.add_argument("--out", required=True)
options = parser.parse_args()

base = read_vectors(options.base, options.rows)
query = read_vectors(options.query)
if options.metric == "l2":
    index = faiss.IndexFlatL2(base.shape[1])
    index.add(base)
    distances, ids = index.search(query, min(K, len(base)))
else:
    index = faiss.IndexFlatIP(base.shape[1])
    index.add(normalised(base))
    similarities, ids = index.search(normalised(query), min(K, len(base)))
    distances = 1 - similarities
write_truth(options.out, ids, distances)
