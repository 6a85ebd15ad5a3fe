"""What each Python package is called for: import it, build, set the width of a search, search.

`load` takes the rows in the form that the library wants and is not timed; `build` is. `search` returns row numbers, one
line a query. The width is named after the library, `ef` everywhere else. A class says how its library was set, and
whether a call with many queries keeps to one thread; where it does not, such calls are not measured.
"""

import numpy as np

from vectors import normalised

K = 10
M = 16
EF_CONSTRUCTION = 200
BUILD_THREADS = 2


class Hnswlib:
    package = "hnswlib"
    batches = True
    parameters = {"M": M, "efConstruction": EF_CONSTRUCTION, "rows": "f32"}

    def __init__(self, metric):
        import hnswlib

        self.module = hnswlib
        self.metric = metric

    def queries(self, queries):
        return np.asarray(queries, dtype=np.float32)

    def load(self, base):
        self.base = np.asarray(base, dtype=np.float32)

    def build(self):
        self.index = self.module.Index(space=self.metric, dim=self.base.shape[1])
        self.index.init_index(max_elements=len(self.base), M=M, ef_construction=EF_CONSTRUCTION)
        self.index.add_items(self.base, num_threads=BUILD_THREADS)

    def set_ef(self, ef):
        self.index.set_ef(ef)

    def search(self, queries):
        return self.index.knn_query(queries, k=K, num_threads=1)[0]


class Faiss:
    """Faiss has no cosine: its inner product of normalised vectors is the same search."""

    package = "faiss-cpu"
    batches = True
    parameters = {"M": M, "efConstruction": EF_CONSTRUCTION, "rows": "f32"}

    def __init__(self, metric):
        import faiss

        self.module = faiss
        self.cosine = metric == "cosine"

    def queries(self, queries):
        return normalised(queries) if self.cosine else np.asarray(queries, dtype=np.float32)

    def load(self, base):
        self.base = self.queries(base)

    def build(self):
        kind = self.module.METRIC_INNER_PRODUCT if self.cosine else self.module.METRIC_L2
        self.index = self.module.IndexHNSWFlat(self.base.shape[1], M, kind)
        self.index.hnsw.efConstruction = EF_CONSTRUCTION
        self.module.omp_set_num_threads(BUILD_THREADS)
        self.index.add(self.base)
        self.module.omp_set_num_threads(1)

    def set_ef(self, ef):
        self.index.hnsw.efSearch = ef

    def search(self, queries):
        return self.index.search(queries, K)[1]


class Usearch:
    package = "usearch"
    batches = True
    parameters = {"connectivity": M, "expansion_add": EF_CONSTRUCTION, "rows": "f32"}

    def __init__(self, metric):
        from usearch.index import Index

        self.module = Index
        self.metric = {"l2": "l2sq", "cosine": "cos"}[metric]

    def queries(self, queries):
        return np.asarray(queries, dtype=np.float32)

    def load(self, base):
        self.base = self.queries(base)

    def build(self):
        options = {"connectivity": M, "expansion_add": EF_CONSTRUCTION, "dtype": "f32"}
        self.index = self.module(ndim=self.base.shape[1], metric=self.metric, **options)
        self.index.add(np.arange(len(self.base)), self.base, threads=BUILD_THREADS)

    def set_ef(self, ef):
        self.index.expansion_search = ef

    def search(self, queries):
        return self.index.search(queries, K, threads=1).keys.reshape(len(queries), K)


class ScalableVs:
    """Vamana on bytes where the rows are bytes, on half floats elsewhere; cosine as the inner product of unit rows."""

    package = "scalable-vs"
    batches = True

    def __init__(self, metric):
        import svs

        self.module = svs
        self.cosine = metric == "cosine"

    def queries(self, queries):
        if queries.dtype == np.uint8 and not self.cosine:
            return np.array(queries)
        return np.asarray(normalised(queries) if self.cosine else queries, dtype=np.float16)

    def load(self, base):
        self.base = self.queries(base)
        self.alpha = 0.95 if self.cosine else 1.2
        rows = "u8" if self.base.dtype == np.uint8 else "f16"
        self.parameters = {"graph_max_degree": 32, "window_size": 100, "alpha": self.alpha, "rows": rows}

    def build(self):
        svs = self.module
        options = svs.VamanaBuildParameters(alpha=self.alpha, graph_max_degree=32, window_size=100)
        distance = svs.DistanceType.MIP if self.cosine else svs.DistanceType.L2
        self.index = svs.Vamana.build(options, self.base, distance, num_threads=BUILD_THREADS)
        self.index.num_threads = 1

    def set_ef(self, ef):
        self.index.search_window_size = ef

    def search(self, queries):
        return self.index.search(queries, K)[0]


class Omendb:
    """Ids are strings. A batch is searched by all threads that there are, so it is not measured."""

    package = "omendb"
    batches = False
    parameters = {"m": M, "ef_construction": EF_CONSTRUCTION, "rows": "f32"}

    def __init__(self, metric):
        import omendb

        self.module = omendb
        self.metric = metric

    def queries(self, queries):
        return np.asarray(queries, dtype=np.float32)

    def load(self, base):
        self.base = self.queries(base)

    def build(self):
        options = {"m": M, "ef_construction": EF_CONSTRUCTION, "metric": self.metric}
        self.index = self.module.open(":memory:", dimensions=self.base.shape[1], **options)
        self.index.set([{"id": str(row), "vector": vector} for row, vector in enumerate(self.base)])

    def set_ef(self, ef):
        self.ef = ef

    def search(self, queries):
        return np.array([[int(hit["id"]) for hit in self.index.search(query, k=K, ef=self.ef)] for query in queries])


LIBRARIES = {"hnswlib": Hnswlib, "faiss": Faiss, "usearch": Usearch, "scalable-vs": ScalableVs, "omendb": Omendb}
