"""The same sampler with numpy and scipy: whole batches of proposals at once, shared items by products of sparse rows."""

import json
import sys
import time

try:
    import numpy as np
    import scipy
    from scipy import sparse
except ImportError as error:
    print(json.dumps({"missing": str(error)}), flush=True)
    sys.exit(0)

SPAN = 4
PROPOSALS = 400
BATCH = 4096


class Graph:
    def __init__(self, folder, users, items, edges, queries):
        read = lambda name, kind: np.fromfile(f"{folder}/{name}.bin", dtype=kind)
        offsets, columns = read("offsets", np.int32), read("items", np.int32)
        ratings = read("ratings", np.float32)
        shape = (users, items)
        self.binary = sparse.csr_matrix((np.ones(edges, np.float32), columns, offsets), shape)
        self.rated = sparse.csr_matrix((ratings, columns, offsets), shape)
        self.raters = self.binary.tocsc()
        self.degrees = np.diff(offsets)
        self.users, self.targets = read("users", np.int32), read("targets", np.int32)
        self.random = np.random.default_rng(1)


def recency_weights(own, target):
    """1 / (1 + place among u0's items without the target): all times are equal here."""
    row, column = own.nonzero()
    first = np.searchsorted(row, np.arange(own.shape[0]))
    place = np.arange(len(row)) - first[row]
    place = place - (column > target[row])
    return sparse.csr_matrix((1 / (1 + place), own.indices, own.indptr), own.shape)


def propose(graph, u0, target, tuned):
    """One proposal each: (u1, accepted, i0, i1)."""
    n, random = len(u0), graph.random
    asks = target[0] >= 0
    if asks:
        begin, end = graph.raters.indptr[target], graph.raters.indptr[target + 1]
        u1 = graph.raters.indices[begin + (random.random(n) * (end - begin)).astype(np.int64)]
    else:
        u1 = random.integers(0, graph.binary.shape[0], n)
    own, other = graph.binary[u0], graph.binary[u1]
    both = own.multiply(other).tocsr()
    rows = np.repeat(np.arange(n), np.diff(both.indptr))
    keep = both.indices != target[rows] if asks else np.ones(len(rows), bool)
    rows, items = rows[keep], both.indices[keep]
    count = np.bincount(rows, minlength=n)
    accepted = (count >= (1 if asks else 2)) & (u1 != u0)
    if len(items) == 0:
        return u1, accepted, u1, u1
    if tuned:
        mine = graph.rated[u0].multiply(other).tocsr().data[keep]
        theirs = graph.rated[u1].multiply(own).tocsr().data[keep]
        agreed = np.bincount(rows, 1 - np.abs(mine - theirs) / (1 + SPAN), n)
        mass = graph.degrees[u1] * (graph.degrees[u0] - (1 if asks else 0)).astype(np.float64)
        accepted &= random.random(n) * np.sqrt(mass) < agreed
        weight = recency_weights(own, target).multiply(other).tocsr().data[keep]
        running = np.concatenate([[0], np.cumsum(weight)])
        ends = np.cumsum(count)
        low, high = running[ends - count], running[ends]
        first = np.searchsorted(running, low + random.random(n) * (high - low), side="right") - 1
        first = np.clip(first, ends - count, np.maximum(ends - 1, 0))
    else:
        begin = np.cumsum(count) - count
        first = begin + (random.random(n) * count).astype(np.int64)
    first = np.minimum(first, len(items) - 1)
    if asks:
        return u1, accepted, items[first], target
    begin = np.cumsum(count) - count
    second = begin + (random.random(n) * (count - 1)).astype(np.int64)
    second = np.clip(np.where(second < first, second, second + 1), 0, len(items) - 1)
    return u1, accepted, items[first], items[second]


def sample(graph, u0, target, count, tuned):
    """Up to `count` chains of each query through different u1: (query, u1, i0, i1)."""
    found = []
    used = np.full((len(u0), count), -1, np.int64)
    for turn in range(count):
        left = np.arange(len(u0))
        for _ in range(PROPOSALS):
            if len(left) == 0:
                break
            u1, accepted, i0, i1 = propose(graph, u0[left], target[left], tuned)
            accepted = accepted & ~(used[left] == u1[:, None]).any(1)
            done = left[accepted]
            used[done, turn] = u1[accepted]
            found.append((done, u1[accepted], i0[accepted], i1[accepted]))
            left = left[~accepted]
    return [np.concatenate(column) for column in zip(*found)]


def answer(request, graph):
    tuned = "chains-tuned" in (request.get("measure"), request.get("check"))
    if "check" in request:
        n = request["count"]
        u0, target = np.full(n, request["user"]), np.full(n, request["target"])
        _, u1, i0, i1 = sample(graph, u0, target, 1, tuned)
        return {"u1": u1.tolist(), "i0": i0.tolist(), "i1": i1.tolist()}
    u0 = graph.users[: request["queries"]].astype(np.int64)
    target = graph.targets[: request["queries"]].astype(np.int64)
    if request["measure"] == "chains-history":
        target = np.full(len(u0), -1)
    start, cpu = time.perf_counter(), time.process_time()
    units = 0
    for begin in range(0, len(u0), BATCH):
        part = slice(begin, begin + BATCH)
        units += len(sample(graph, u0[part], target[part], request["count"], tuned)[0])
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    return {"units": units, "seconds": seconds, "cpuSeconds": cpu}


def main():
    graph = None
    print(json.dumps({"name": f"numpy {np.__version__}, scipy {scipy.__version__}"}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if "prepare" in request:
                graph = Graph(**request["prepare"])
                reply = {"ok": True}
            else:
                reply = answer(request, graph)
        except Exception as error:  # every failure is the harness's to report
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), flush=True)


main()
