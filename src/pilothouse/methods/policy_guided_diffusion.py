"""Policy-guided diffusion: learn offline from trajectories that a diffusion model makes up, near the learner's policy.

p(tau) ~ p_data(tau) prod_t pi(a_t | s_t)^lambda, by denoising with the actions pushed along grad_a log pi(a | s)
once: fit the model to windows of the data; fill a buffer without guidance
every R learner steps: refill it, guided by the actor of now; each batch: 1/16 recorded, 15/16 made up
"""

from __future__ import annotations

from pilothouse.control.heun import HeunSampler
from pilothouse.control.synthetic import SyntheticSettings
from pilothouse.control.td3_bc import TD3BC
from pilothouse.control.trajectory_diffusion import TrajectoryDiffusion
from pilothouse.core.cards import Card
from pilothouse.methods.base import Method
from pilothouse.methods.experiments.policy_guided_diffusion import reproduce
from pilothouse.policies.trajectory_networks import ResidualConv
from pilothouse.training.offline_recipe import OfflineLearning, OfflineTraining

METHOD = Method(
    card=Card(
        name="policy-guided-diffusion",
        title="offline learning from trajectories made up by diffusion and pushed towards the learner's policy",
        paper="Policy-Guided Diffusion",
        source="arXiv 2404.06356",
        year=2024,
        family="control",
        formula="grad log p = grad log p_data + lambda sum_t grad_a log pi(a_t | s_t), on the actions alone",
        settings="EDM with 80 to 0.002, churn 80 and 1.003, guidance cosine 0.3, normalised gradients, 15/16 made up, "
        "TD3+BC with alpha 2.5: the released code's; its lambda per task is not known, here 1",
        departures="a residual network of width 48 on windows of 16 instead of a U-Net of 1024 to 4096 on 32, 32 "
        "sampler steps instead of 256, 8,192 transitions every 2,500 batches instead of a million every 10,000, and "
        "10,000 batches of the learner instead of a million, so that it runs on a laptop; each is a setting",
        claim="TD3+BC and IQL with guided data beat the recorded data and unguided ones on D4RL; made-up "
        "trajectories are likelier under the policy, and truer to the dynamics than an autoregressive world model's",
        when="a fixed data set and an off-the-shelf learner whose policy leaves the data's; states stay the data's, "
        "and a large lambda leaves what is possible: look at the dynamics error before trusting it",
    ),
    recipe=OfflineLearning(
        learner=TD3BC(),
        diffusion=TrajectoryDiffusion(network=ResidualConv(width=48, blocks=4), length=16, stride=4, batch=64, ema=0.9),
        synthetic=SyntheticSettings(
            trajectories=512, rows=512, length=17, refresh_every=2500, sampler=HeunSampler(steps=32)
        ),
        training=OfflineTraining(steps=120, model_steps=20),
    ),
    reproduce=reproduce,
)
