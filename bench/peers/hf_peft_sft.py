"""PEFT on transformers: a supervised LoRA step with torch's AdamW, sequences of a batch padded to the longest."""

import json
import os
import subprocess
import sys

from lines import peak_bytes, serve, timed, use_threads

LEARNING_RATE = 1e-4


class Training:
    """The model with the adapter of the case, and its optimiser."""

    def __init__(self, prepared):
        import torch
        from peft import PeftModel
        from transformers import AutoModelForCausalLM

        use_threads()
        dtype = {"bf16": torch.bfloat16, "fp32": torch.float32}[prepared["dtype"]]
        base = AutoModelForCausalLM.from_pretrained(prepared["dir"], dtype=dtype)
        base.config.use_cache = False
        # The adapter in the model's own type: quicker on a CPU than PEFT's cast to fp32.
        self.model = PeftModel.from_pretrained(
            base, prepared["adapter"], is_trainable=True, autocast_adapter_dtype=False
        ).train()
        self.trained = [weight for weight in self.model.parameters() if weight.requires_grad]
        self.optimiser = torch.optim.AdamW(self.trained, lr=LEARNING_RATE, weight_decay=0)

    def backward(self, sequences):
        """sequences: [{ids, first}], loss on tokens from `first` on. The mean NLL of those tokens."""
        import torch

        longest = max(len(one["ids"]) for one in sequences)
        ids, mask, labels = (torch.full((len(sequences), longest), fill) for fill in (0, 0, -100))
        for row, one in enumerate(sequences):
            length, first = len(one["ids"]), one["first"]
            ids[row, :length] = torch.tensor(one["ids"])
            mask[row, :length] = 1
            labels[row, first:length] = ids[row, first:length]
        loss = self.model(input_ids=ids, attention_mask=mask, labels=labels).loss
        loss.backward()
        return loss.item()

    def step(self, sequences):
        import torch

        self.backward(sequences)
        torch.nn.utils.clip_grad_norm_(self.trained, 1.0)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        return sum(len(one["ids"]) for one in sequences)

    def gradient_norm(self):
        norm = sum(weight.grad.float().pow(2).sum().item() for weight in self.trained) ** 0.5
        self.optimiser.zero_grad(set_to_none=True)
        return norm


class Lazy:
    def __init__(self, prepared):
        self.prepared, self.training = prepared, None

    def get(self):
        self.training = self.training or Training(self.prepared)
        return self.training


def peak(prepared, sequences):
    """Of one step in a process of its own."""
    text = json.dumps({"prepared": prepared, "sequences": sequences})
    child = subprocess.run([sys.executable, __file__, "peak"], input=text, capture_output=True, text=True, check=True)
    return json.loads(child.stdout.splitlines()[-1])


def answer(lazy, request):
    if request.get("check") == "sft":
        loss = lazy.get().backward(request["sequences"])
        return {"loss": loss, "norm": lazy.get().gradient_norm()}
    if request["op"] == "sft":
        training = lazy.get()
        use_threads(request["threads"])
        return timed(lambda: training.step(request["sequences"]))
    if request["op"] == "peak-sft":
        return peak(lazy.prepared, request["sequences"])
    raise ValueError(f"no work named {request['op']}")


if len(sys.argv) > 1:
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    asked = json.load(sys.stdin)
    running = Training(asked["prepared"])
    said = timed(lambda: running.step(asked["sequences"]))
    print(json.dumps({**said, "units": 1, "bytes": peak_bytes()}), flush=True)
else:
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    serve(("peft", "transformers", "torch"), Lazy, answer)
