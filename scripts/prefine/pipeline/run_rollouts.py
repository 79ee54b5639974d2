"""What of a run is rolled out: evaluations, other episodes to choose by, films."""

import functools

from prefine.config.settings import as_json, middle, thresholds
from prefine.pipeline.run_own import OwnRun


class Rollouts(OwnRun):
    """The part of `Run` that concerns rollouts. ``wildcards`` are a rule's: ``task`` or ``job``."""

    def evaluation_settings(self, wildcards, episodes: int | None = None, **more) -> str:
        """What an evaluation job needs of the config."""
        own, mode = self.config["evaluation"], self.config["evaluation"]["action_mode"]
        if hasattr(wildcards, "job"):
            mode, mix = self.arm(wildcards).action_mode, self.arm(wildcards).mix
            more |= {"mix": mix} if mix < 1 else {}
        return as_json({"episodes": episodes or own["episodes"], "action_mode": mode} | more)

    def validation_settings(self, wildcards) -> str:
        """What a rollout needs by which a policy or a setting is chosen: other episodes."""
        episodes = self.config["choose"]["episodes"]
        return self.evaluation_settings(wildcards, episodes, purpose="validate")

    def other_plan(self, wildcards) -> str | list:
        """The runs of a job whose policies another one trains."""
        own = self.arm(wildcards)
        return [] if own.policies == own.job else f"{self.folder}/plans/{own.job}.csv"

    def mixed_with(self, wildcards) -> str | list:
        """pi_ref, where its actions are mixed with those of a job's policies."""
        own = self.arm(wildcards)
        return f"{self.folder}/reference/{own.task}.safetensors" if own.mix < 1 else []

    # Films.

    @functools.cached_property
    def filmed(self) -> list[str]:
        """The tasks of which there are films: where PREFINE's policies are."""
        return [t for t in self.tasks if self.own_policies or f"main/{t}/prefine" in self.arms]

    def film_choice(self, wildcards) -> str | list:
        """Which policy is handed back, where it is the user's own that is made safe."""
        return f"{self.folder}/choice/{wildcards.task}.json" if self.own_policies else []

    def film_policies(self, wildcards) -> list[str]:
        """Where the policies of a film are: before, and those of which one is after."""
        after = [f"{self.folder}/policies/main/{wildcards.task}/prefine.safetensors"]
        if self.own_policies:
            after = self.candidate_paths(wildcards, "policies", "safetensors")
        return [f"{self.folder}/reference/{wildcards.task}.safetensors", *after]

    def film_episodes(self, wildcards) -> list[str]:
        """The evaluation by which run and episode of a film are chosen."""
        task = wildcards.task
        own = [f"{task}/before_after"] if self.own_policies else [f"reference/{task}"]
        own += [] if self.own_policies else [f"main/{task}/prefine"]
        return [f"{self.folder}/episodes/{path}.parquet" for path in own]

    def film_arguments(self, wildcards, input) -> list[str]:
        """Both policies and the choice, as options."""
        before, *after = input.policies
        if not input.choice:
            return ["--reference", before, "--policies", *after]
        folder = f"{self.folder}/policies"
        return ["--reference", before, "--policies", folder, "--choice", input.choice]

    def film_settings(self, wildcards) -> str:
        """What a film needs of the config."""
        tau = middle(thresholds(self.config, wildcards.task))
        mode = {"action_mode": self.config["evaluation"]["action_mode"]}
        return as_json(self.config["films"] | mode | {"tau": tau})
