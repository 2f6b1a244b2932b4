"""Inference engines: a survey as data that can be asked, and a check of what a live server really does.

candidates <- engines that satisfy every hard constraint; the first failure of each other one is its reason
score_e    = sum_c w_c s_ec - 0.1 unknown_e / 23, weights by kind of work; what was measured wins over presence
check(URL) : each feature is asked for and the answer is looked at; bounded in time and in requests
"""

from __future__ import annotations

from pilothouse.core.cards import Card
from pilothouse.methods.base import Method
from pilothouse.methods.experiments.inference_engines import reproduce

METHOD = Method(
    card=Card(
        name="inference-engines",
        title="which inference engine for which work, with reasons, and what a live server really supports",
        paper="A Survey on Inference Engines for Large Language Models: Perspectives on Optimization and Efficiency",
        source="arXiv 2505.01658",
        year=2025,
        family="decisions",
        formula="sum over criteria of w_c s_ec - 0.1 (undisclosed techniques) / 23, after hard constraints",
        settings="the survey's tables of 25 engines and 23 techniques, its radar charts as scores; five profiles",
        departures="scores are read off charts; licence, upkeep and launch lines are general knowledge and marked so; "
        "techniques are measured in this library's engine, which has no quantised weights",
        claim="25 engines compared; at concurrency 64 TensorRT-LLM gives 7,535 tokens/s on Llama-2-7B, vLLM 4,107, TGI "
        "3,058; on a Jetson Orin only Ollama and llama.cpp passed",
        when="to choose an engine, or to know a server before relying on it; scores are presence of features: measure "
        "what matters with 'pilothouse engines check'",
    ),
    reproduce=reproduce,
)
