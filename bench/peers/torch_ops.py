"""torch: a matrix product, and the vocabulary head's loss and gradient, on arrays that both sides read from files."""

import os

from lines import serve, timed, use_threads

REPEATED = 0.2  # seconds of work in one run, at least once


def array(folder, name, shape, dtype):
    import numpy
    import torch

    values = numpy.fromfile(os.path.join(folder, f"{name}.f32"), dtype=numpy.float32)
    return torch.from_numpy(values).reshape(shape).to(dtype)


def kind(name):
    import torch

    return {"bf16": torch.bfloat16, "fp32": torch.float32}[name]


class Arrays:
    def __init__(self, prepared):
        use_threads()
        self.prepared, self.held = prepared, {}

    def get(self, name, shape, dtype):
        key = (name, dtype)
        if key not in self.held:
            self.held[key] = array(self.prepared["folder"], name, shape, kind(dtype))
        return self.held[key]

    def write(self, name, tensor):
        import numpy

        tensor.float().numpy().astype(numpy.float32).tofile(os.path.join(self.prepared["folder"], f"{name}.f32"))


def product(arrays, request):
    m, n, k = request["m"], request["n"], request["k"]
    a = arrays.get(request["a"], (m, k), request["dtype"])
    w = arrays.get(request["w"], (n, k), request["dtype"])
    return lambda: __import__("torch").nn.functional.linear(a, w)


def head(arrays, request):
    """Mean NLL of the targets and the gradient of the hidden states, in chunks of `chunk` tokens (0: all at once)."""
    import torch

    t, h, v = request["t"], request["h"], request["v"]
    weight = arrays.get("head", (v, h), request["dtype"])
    targets = arrays.get("targets", (t,), "fp32").long()
    chunk = request["chunk"] or t

    def work():
        hidden = arrays.get("hidden", (t, h), request["dtype"]).detach().requires_grad_()
        total = 0.0
        for first in range(0, t, chunk):
            logits = torch.nn.functional.linear(hidden[first : first + chunk], weight).float()
            loss = torch.nn.functional.cross_entropy(logits, targets[first : first + chunk], reduction="sum") / t
            loss.backward()
            total += loss.item()
        return total, hidden.grad

    return work


def repeated(work):
    import time

    begin = time.perf_counter()
    work()
    count = max(1, int(REPEATED / max(time.perf_counter() - begin, 1e-6)))

    def many():
        for _ in range(count):
            work()
        return count

    return many


def answer(arrays, request):
    import torch

    name = request.get("op") or request["check"]
    work = {"gemm": product, "head": head}[name](arrays, request)
    if "check" in request:
        if name == "gemm":
            arrays.write("product", work())
            return {"ok": True}
        loss, gradient = work()
        arrays.write("gradient", gradient)
        return {"loss": loss}
    if name == "gemm":
        with torch.inference_mode():
            many = repeated(work)
            said = timed(many)
    else:
        said = timed(repeated(work))
    return {**said, "units": said["units"] * request["units"]}


serve(("torch", "numpy"), Arrays, answer)
