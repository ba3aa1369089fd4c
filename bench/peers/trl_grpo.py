"""TRL: the loss of its GRPOTrainer on fixed rollouts with PEFT's backward, and its whole step with transformers' generate."""

import json
import os
import subprocess
import sys
import tempfile

from lines import peak_bytes, serve, timed, use_threads

LEARNING_RATE = 1e-4


def word_tokenizer(vocab):
    """The text "t5 t17" is the ids 5, 17: any prompt of ids can be given as a text."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {f"t{token}": token for token in range(vocab)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="t0"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="t0", pad_token="t0", eos_token="t1")


def alternating(completions, **_):
    return [float(row % 2) for row in range(len(completions))]


class Training:
    def __init__(self, prepared):
        import torch
        from datasets import Dataset
        from peft import PeftModel
        from transformers import AutoModelForCausalLM
        from trl import GRPOConfig, GRPOTrainer

        use_threads()
        dtype = {"bf16": torch.bfloat16, "fp32": torch.float32}[prepared["dtype"]]
        base = AutoModelForCausalLM.from_pretrained(prepared["dir"], dtype=dtype)
        self.model = PeftModel.from_pretrained(
            base, prepared["adapter"], is_trainable=True, autocast_adapter_dtype=False
        )
        self.group, self.new = prepared["group"], prepared["new"]
        self.text = " ".join(f"t{token}" for token in prepared["prompt"])
        # Accelerate would take one thread per process on its own.
        threads = torch.get_num_threads()
        config = GRPOConfig(
            output_dir=tempfile.mkdtemp(prefix="reasonrec-bench-trl-"),
            use_cpu=True,
            bf16=False,
            per_device_train_batch_size=self.group,
            num_generations=self.group,
            max_completion_length=self.new,
            generation_kwargs={"min_new_tokens": self.new},
            temperature=1.0,
            beta=0.0,
            loss_type="grpo",
            learning_rate=LEARNING_RATE,
            gradient_checkpointing=False,
            report_to=[],
        )
        self.trainer = GRPOTrainer(
            model=self.model,
            reward_funcs=alternating,
            args=config,
            train_dataset=Dataset.from_dict({"prompt": [self.text]}),
            processing_class=word_tokenizer(prepared["vocab"]),
        )
        torch.set_num_threads(threads)
        # Set by the training loop, which this does not run.
        self.trainer.current_gradient_accumulation_steps = 1
        self.model = self.trainer.model.train()
        self.trained = [weight for weight in self.model.parameters() if weight.requires_grad]
        self.optimiser = torch.optim.AdamW(self.trained, lr=LEARNING_RATE, weight_decay=0)

    def inputs(self, rollouts):
        import torch

        prompts = torch.tensor([rollouts["prompt"]] * len(rollouts["completions"]))
        completions = torch.tensor(rollouts["completions"])
        return {
            "prompt_ids": prompts,
            "prompt_mask": torch.ones_like(prompts),
            "completion_ids": completions,
            "completion_mask": torch.ones_like(completions),
            "advantages": torch.tensor(rollouts["advantages"]),
            "old_per_token_logps": torch.tensor(rollouts["old"]),
            "num_items_in_batch": torch.tensor(completions.numel()),
        }

    def backward(self, inputs):
        loss = self.trainer.compute_loss(self.model, inputs)
        loss.backward()
        return loss.item()

    def apply(self):
        import torch

        torch.nn.utils.clip_grad_norm_(self.trained, 1.0)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)

    def update(self, rollouts):
        self.backward(self.inputs(rollouts))
        self.apply()
        return sum(len(one) for one in rollouts["completions"])

    def step(self):
        """Generates, scores, trains."""
        inputs = self.trainer._generate_and_score_completions([{"prompt": self.text}] * self.group)
        if inputs["completion_ids"].shape != (self.group, self.new):
            raise ValueError(f"completions of shape {tuple(inputs['completion_ids'].shape)}")
        self.backward(inputs)
        self.apply()
        return self.group * self.new

    def gradient_norm(self):
        norm = sum(weight.grad.float().pow(2).sum().item() for weight in self.trained) ** 0.5
        self.optimiser.zero_grad(set_to_none=True)
        return norm

    def logprobs(self, ids, first):
        import torch

        with torch.no_grad():
            logits = self.model(torch.tensor([ids]), use_cache=False, logits_to_keep=len(ids) - first + 1).logits
        logprobs = logits[0, :-1].float().log_softmax(-1)
        return logprobs.gather(-1, torch.tensor(ids[first:])[:, None])[:, 0].tolist()


class Lazy:
    def __init__(self, prepared):
        self.prepared, self.training = prepared, None

    def get(self):
        self.training = self.training or Training(self.prepared)
        return self.training


def peak(prepared, rollouts):
    """Of one update in a process of its own."""
    text = json.dumps({"prepared": prepared, "rollouts": rollouts})
    child = subprocess.run([sys.executable, __file__, "peak"], input=text, capture_output=True, text=True, check=True)
    return json.loads(child.stdout.splitlines()[-1])


def answer(lazy, request):
    check, op = request.get("check"), request.get("op")
    if check == "update":
        loss = lazy.get().backward(lazy.get().inputs(request["rollouts"]))
        return {"loss": loss, "norm": lazy.get().gradient_norm()}
    if check == "logprobs":
        return {"logprobs": lazy.get().logprobs(request["ids"], request["first"])}
    if op == "update":
        training = lazy.get()
        return timed(lambda: training.update(request["rollouts"]))
    if op == "step":
        return timed(lazy.get().step)
    if op == "peak-update":
        return peak(lazy.prepared, request["rollouts"])
    raise ValueError(f"no work named {op or check}")


os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
if len(sys.argv) > 1:
    asked = json.load(sys.stdin)
    running = Training(asked["prepared"])
    said = timed(lambda: running.update(asked["rollouts"]))
    print(json.dumps({**said, "units": 1, "bytes": peak_bytes()}), flush=True)
else:
    serve(("trl", "peft", "transformers", "torch"), Lazy, answer)
