"""The protocol of README.md for peers in Python: one request per line, one answer per line."""

import importlib.metadata
import importlib.util
import json
import os
import sys
import time


def timed(work):
    """`work` returns the units it did."""
    begin, cpu = time.perf_counter(), time.process_time()
    units = work()
    return {
        "units": units,
        "seconds": time.perf_counter() - begin,
        "cpuSeconds": time.process_time() - cpu,
    }


def peak_bytes():
    """Largest resident memory of this process so far."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


def use_threads(count=0):
    """0: as many as the harness says."""
    import torch

    torch.set_num_threads(count or int(os.environ.get("OMP_NUM_THREADS", "1")))


def title(packages, remark=""):
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    return f"{versions}{remark}"


def serve(packages, prepare, answer, remark=""):
    """`packages`: what must be there. answer(state, request) with the state that prepare(input) returned."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not mix with answers

    def say(reply):
        answers.write(json.dumps(reply) + "\n")
        answers.flush()

    for name in packages:
        if importlib.util.find_spec(name) is None:
            say({"missing": f"No module named {name}"})
            return
    say({"name": title(packages, remark)})
    state = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if "prepare" in request:
                state = prepare(request["prepare"])
                reply = {"ok": True}
            else:
                reply = answer(state, request)
        except Exception as error:  # every failure is the harness's to report
            reply = {"error": f"{type(error).__name__}: {error}"}
        say(reply)
