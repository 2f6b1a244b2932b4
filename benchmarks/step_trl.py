"""TRL's side of the step benchmark."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch

from step_work import BETAS, GROUP, RATE, SEED, now, prescribed, problems, task_of


def theirs(job: dict[str, Any], out: Path) -> list[dict[str, float]]:
    """Return seconds by phase, responses and tokens of every step of TRL's GRPOTrainer."""
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    tokenizer = AutoTokenizer.from_pretrained(job["model"])
    if job["mode"] in ("ragged", "verified"):
        tokenizer.eos_token = "\n"
    model = AutoModelForCausalLM.from_pretrained(job["model"], dtype=torch.float32)
    model.generation_config.eos_token_id = None
    batch = job["prompts"] * GROUP
    rows = job["trl_rows"] or batch
    settings = GRPOConfig(
        output_dir=str(out),
        max_steps=job["steps"],
        per_device_train_batch_size=rows,
        gradient_accumulation_steps=batch // rows,
        num_generations=GROUP,
        max_completion_length=job["longest"] if job["mode"] == "prescribed" else job["tokens"],
        learning_rate=RATE,
        lr_scheduler_type="constant",
        optim="adamw_torch_fused",
        adam_beta1=BETAS[0],
        adam_beta2=BETAS[1],
        weight_decay=0.0,
        max_grad_norm=1.0,
        temperature=1.0,
        beta=0.0,
        num_iterations=1,
        loss_type="grpo",
        scale_rewards="group",
        shuffle_dataset=False,
        seed=SEED,
        use_cpu=True,
        bf16=False,
        fp16=False,
        gradient_checkpointing=False,
        logging_strategy="no",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )
    spent: dict[str, float] = dict.fromkeys(("generate", "prepare", "train"), 0.0)
    steps = list[dict[str, float]]()

    def timed(name: str, work: Any) -> Any:
        def run(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            result = work(*args, **kwargs)
            spent[name] += time.perf_counter() - start
            return result

        return run

    class Cuts(TrainerCallback):
        """Cuts the time into steps."""

        counts = start = (0.0, 0.0)
        optimizer = 0.0

        def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
            if job["mode"] == "full":  # TRL has set it from the tokenizer by now
                model.generation_config.eos_token_id = None
            self.start = now()

        def on_pre_optimizer_step(self, *args: Any, **kwargs: Any) -> None:
            self.optimizer = time.perf_counter()

        def on_optimizer_step(self, *args: Any, **kwargs: Any) -> None:
            spent["train"] += time.perf_counter() - self.optimizer

        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            stop = now()
            whole, generate = stop[0] - self.start[0], spent["generate"]
            train = spent["train"] - spent["prepare"]  # preparing the batch is part of TRL's training_step
            steps.append(
                {"seconds": whole, "generate": generate, "train": train, "other": whole - generate - train}
                | {"processor": stop[1] - self.start[1], "responses": self.counts[0], "tokens": self.counts[1]}
                | {"forcing": force.seconds}
            )
            force.seconds = 0.0
            self.start = stop
            spent.update(dict.fromkeys(spent, 0.0))

    class Force:
        """Allows the end token at the prescribed place and nowhere else."""

        seconds = 0.0

        def prepare(self, prompt_ids: list[list[int]]) -> None:
            """Look up the lengths of a batch whose rows are samples of one prompt after another."""
            texts = [tokenizer.decode(ids) for ids in prompt_ids]
            lengths = [prescribed(text, row % GROUP, job) for row, text in enumerate(texts)]
            self.lengths, self.width = torch.tensor(lengths)[:, None], max(map(len, prompt_ids))
            self.only_end = torch.full((len(tokenizer),), -torch.inf)
            self.only_end[tokenizer.eos_token_id] = 0.0

        def __call__(self, ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
            start = time.perf_counter()
            scores[:, tokenizer.eos_token_id] = -torch.inf
            forced = torch.where(self.lengths == ids.shape[1] - self.width + 1, self.only_end, scores)
            self.seconds += time.perf_counter() - start
            return forced

    cut, force = Cuts(), Force()

    task = task_of(job)
    drawn = problems(task, job["prompts"] * job["steps"])
    by_prompt = {str(problem.prompt): problem for problem in drawn}

    def rewards(prompts: list[str], completions: list[str], completion_ids: list[list[int]], **_: Any) -> list[float]:
        cut.counts = (len(completions), sum(map(len, completion_ids)))
        if job["mode"] == "prescribed" and [len(ids) for ids in completion_ids] != force.lengths[:, 0].tolist():
            raise RuntimeError("a response has not its prescribed length")
        pairs = [(by_prompt[prompt], text) for prompt, text in zip(prompts, completions, strict=True)]
        return [score.reward for score in task.score_many(pairs)]

    trainer = GRPOTrainer(
        model=model,
        reward_funcs=rewards,
        args=settings,
        train_dataset=Dataset.from_dict({"prompt": [str(problem.prompt) for problem in drawn]}),
        processing_class=tokenizer,
        callbacks=[cut],
    )
    if job["mode"] == "full":
        trainer.eos_token_ids, trainer.generation_config.eos_token_id = [-1], None
    if job["mode"] == "prescribed":
        sample, generate = trainer._generate_single_turn, model.generate

        def forced(prompt_ids: list[list[int]], *args: Any, **kwargs: Any) -> Any:
            force.prepare(prompt_ids)
            return sample(prompt_ids, *args, **kwargs)

        trainer._generate_single_turn = forced
        model.generate = lambda **kwargs: generate(**kwargs, logits_processor=[force])
    trainer._generate = timed("generate", trainer._generate)
    trainer._prepare_inputs = timed("prepare", trainer._prepare_inputs)
    trainer.training_step = timed("train", trainer.training_step)
    trainer.train()
    return steps
