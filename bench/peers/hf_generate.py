"""transformers: starting, prefill, decoding, rollouts and scoring, with model.generate and model.forward."""

import copy
import json
import os
import subprocess
import sys
import time

from lines import serve, timed, use_threads


def kinds():
    import torch

    return {"bf16": torch.bfloat16, "fp32": torch.float32}


def load(folder, dtype):
    import torch
    from transformers import AutoModelForCausalLM

    use_threads()
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=kinds()[dtype])
    # Random weights have no end token worth stopping at: every sample has the length asked for.
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = 0
    torch.manual_seed(1)
    return model.eval()


def first_token(folder, dtype, ids):
    """In a process of its own: imports, loads, generates one token, says it with the processor time so far."""
    import resource

    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=kinds()[dtype])
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


class Clock:
    """Called before every token is chosen; the first call is the end of the prefill."""

    def __init__(self):
        self.first = None

    def __call__(self, input_ids, scores):
        if self.first is None:
            self.first = (time.perf_counter(), time.process_time())
        return scores


class Loaded:
    def __init__(self, prepared):
        self.prepared = prepared
        self.model = None
        self.caches = {}

    def get(self):
        self.model = self.model or load(self.prepared["dir"], self.prepared["dtype"])
        return self.model

    def cache(self, prompts, copies):
        """Keys and values of all but the last token of every prompt, `copies` times; computed once."""
        import torch

        key = json.dumps([prompts, copies])
        if key not in self.caches:
            self.caches.clear()
            with torch.inference_mode():
                ids = torch.tensor(prompts)[:, :-1]
                found = self.get()(ids, use_cache=True, logits_to_keep=1).past_key_values
                found.batch_repeat_interleave(copies)
            self.caches[key] = found
        return copy.deepcopy(self.caches[key])


def prefill(loaded, ids):
    import torch

    model, prompt = loaded.get(), torch.tensor([ids])

    def work():
        with torch.inference_mode():
            model(prompt, use_cache=True, logits_to_keep=1).logits[0, -1].argmax().item()
        return len(ids)

    return timed(work)


def generate(loaded, ids, new, sample, clock=None, cache=None):
    import torch
    from transformers import LogitsProcessorList

    with torch.inference_mode():
        return loaded.get().generate(
            ids,
            attention_mask=torch.ones_like(ids),
            past_key_values=cache,
            max_new_tokens=new,
            min_new_tokens=new,
            do_sample=sample,
            top_k=0 if sample else None,
            top_p=1.0 if sample else None,
            temperature=1.0 if sample else None,
            logits_processor=LogitsProcessorList([clock] if clock else []),
        )


def decode(loaded, request):
    """`new` steps after the first token; neither the prompt nor the first token is timed."""
    import torch

    prompts, copies, new = request["prompts"], request["copies"], request["new"]
    ids = torch.tensor(prompts).repeat_interleave(copies, dim=0)
    clock, cache = Clock(), loaded.cache(prompts, copies)
    generate(loaded, ids, new + 1, request["sample"], clock, cache)
    return {
        "units": new * len(ids),
        "seconds": time.perf_counter() - clock.first[0],
        "cpuSeconds": time.process_time() - clock.first[1],
    }


def rollouts(loaded, request):
    import torch

    ids = torch.tensor([request["prompt"]] * request["copies"])

    def work():
        generate(loaded, ids, request["new"], True)
        return request["new"] * request["copies"]

    return timed(work)


def batch_scores(loaded, prompt, candidates):
    """Mean log-prob of every candidate's tokens: one batch of prompt + candidate, padded on the right."""
    import torch

    longest = max(len(one) for one in candidates)
    rows = [prompt + one + [0] * (longest - len(one)) for one in candidates]
    ids = torch.tensor(rows)
    mask = torch.tensor([[1] * (len(prompt) + len(one)) + [0] * (longest - len(one)) for one in candidates])
    with torch.inference_mode():
        logits = loaded.get()(ids, attention_mask=mask, use_cache=False, logits_to_keep=longest + 1).logits
        logprobs = logits[:, :-1].float().log_softmax(-1)
        picked = logprobs.gather(-1, ids[:, len(prompt) :, None])[..., 0]
        return [picked[row, : len(one)].mean().item() for row, one in enumerate(candidates)]


def token_logprobs(loaded, ids, first):
    """log p(ids[i] | ids[:i]) for i >= first."""
    import torch

    with torch.inference_mode():
        logits = loaded.get()(torch.tensor([ids]), use_cache=False, logits_to_keep=len(ids) - first + 1).logits
    logprobs = logits[0, :-1].float().log_softmax(-1)
    return logprobs.gather(-1, torch.tensor(ids[first:])[:, None])[:, 0].tolist()


def answer(loaded, request):
    check, op = request.get("check"), request.get("op")
    if check == "start":
        return {"token": start(loaded.prepared, request["dtype"])[1]["token"]}
    if check == "logprobs":
        return {"logprobs": token_logprobs(loaded, request["ids"], request["first"])}
    if check == "score":
        return {"scores": batch_scores(loaded, request["prompt"], request["candidates"])}
    if op == "start":
        seconds, said = start(loaded.prepared, request["dtype"])
        return {"units": 1, "seconds": seconds, "cpuSeconds": said["cpuSeconds"]}
    if op == "prefill":
        return prefill(loaded, request["ids"])
    if op == "decode":
        return decode(loaded, request)
    if op == "rollouts":
        return rollouts(loaded, request)
    if op == "score":
        return timed(lambda: len(batch_scores(loaded, request["prompt"], request["candidates"])))
    raise ValueError(f"no work named {op or check}")


if len(sys.argv) > 1:
    first_token(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
else:
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    serve(("transformers", "torch"), Loaded, answer)
