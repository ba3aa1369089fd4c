"""transformers: from the start of a Python to the first token of a folder's model, a new process each time."""

import importlib.metadata
import importlib.util
import json
import subprocess
import sys
import time


def first_token(folder, dtype, ids):
    """In a process of its own: imports, loads, generates one token, says it with the processor time so far."""
    import resource

    import torch
    from transformers import AutoModelForCausalLM

    kinds = {"bf16": torch.bfloat16, "fp32": torch.float32}
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=kinds[dtype])
    prompt = torch.tensor([ids])
    with torch.inference_mode():
        out = model.generate(
            prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=1, do_sample=False, pad_token_id=0
        )
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"token": out[0, -1].item(), "cpuSeconds": used.ru_utime + used.ru_stime}), flush=True)


def start(prepared, dtype):
    begin = time.perf_counter()
    command = [sys.executable, __file__, prepared["dir"], dtype, json.dumps(prepared["ids"])]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    line = child.stdout.readline()
    seconds = time.perf_counter() - begin
    child.wait()
    return seconds, json.loads(line)


def answer(request, prepared):
    seconds, said = start(prepared, request["dtype"])
    if "check" in request:
        return {"token": said["token"]}
    return {"units": 1, "seconds": seconds, "cpuSeconds": said["cpuSeconds"]}


def main():
    for name in ("torch", "transformers"):
        if importlib.util.find_spec(name) is None:
            print(json.dumps({"missing": f"No module named {name}"}), flush=True)
            return
    versions = {name: importlib.metadata.version(name) for name in ("transformers", "torch")}
    print(json.dumps({"name": ", ".join(f"{name} {at}" for name, at in versions.items())}), flush=True)
    prepared = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if "prepare" in request:
                prepared = request["prepare"]
                reply = {"ok": True}
            else:
                reply = answer(request, prepared)
        except Exception as error:  # every failure is the harness's to report
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), flush=True)


if len(sys.argv) > 1:
    first_token(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
else:
    main()
