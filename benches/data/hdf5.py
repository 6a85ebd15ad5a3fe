"""Writes an HDF5 file of ann-benchmarks as base.fbin, query.fbin and groundtruth.ibin into a folder, and its metric into
set.json. Arguments: the file, the folder."""

import json
import os
import sys

import h5py
import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../drivers"))
from vectors import write_header, write_truth

METRICS = {"euclidean": "l2", "angular": "cosine"}
BLOCK = 100_000

source, folder = sys.argv[1:]
with h5py.File(source, "r") as file:
    distance = file.attrs["distance"]
    if distance not in METRICS:
        raise SystemExit(f"{source}: distance {distance}, expected one of {', '.join(METRICS)}")
    for name, target in [("train", "base.fbin"), ("test", "query.fbin")]:
        rows = file[name]
        with open(os.path.join(folder, target), "wb") as out:
            write_header(out, *rows.shape)
            for first in range(0, len(rows), BLOCK):
                rows[first : first + BLOCK].astype("<f4").tofile(out)
    # Theirs are Euclidean distances; ours are squared.
    distances = np.asarray(file["distances"])
    distances = distances**2 if distance == "euclidean" else distances
    write_truth(os.path.join(folder, "groundtruth.ibin"), np.asarray(file["neighbors"]), distances)
with open(os.path.join(folder, "set.json"), "w") as out:
    json.dump({"metric": METRICS[distance]}, out)
