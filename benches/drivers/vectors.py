"""Vector and ground-truth files, as examples/data/README.md describes them."""

import numpy as np

ELEMENTS = {"u8bin": np.uint8, "f16bin": np.float16, "fbin": np.float32}


def open_vectors(path):
    """All rows as they are stored, mapped rather than read."""
    extension = path.rsplit(".", 1)[-1]
    if extension not in ELEMENTS:
        raise ValueError(f"{path}: unknown format, expected one of {', '.join(ELEMENTS)}")
    n, dimensions = (int(field) for field in np.fromfile(path, dtype="<u4", count=2))
    return np.memmap(path, dtype=ELEMENTS[extension], mode="r", offset=8, shape=(n, dimensions))


def read_truth(path):
    """Row numbers and distances of the nearest rows, one line a query, nearest first."""
    n, k = (int(field) for field in np.fromfile(path, dtype="<u4", count=2))
    ids = np.fromfile(path, dtype="<u4", count=n * k, offset=8)
    distances = np.fromfile(path, dtype="<f4", count=n * k, offset=8 + 4 * n * k)
    return ids.reshape(n, k), distances.reshape(n, k)


def write_truth(path, ids, distances):
    with open(path, "wb") as file:
        np.array(ids.shape, dtype="<u4").tofile(file)
        ids.astype("<u4").tofile(file)
        distances.astype("<f4").tofile(file)


def write_header(file, rows, dimensions):
    np.array([rows, dimensions], dtype="<u4").tofile(file)


def normalised(vectors):
    """Rows of length 1, as float32."""
    vectors = np.asarray(vectors, dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
