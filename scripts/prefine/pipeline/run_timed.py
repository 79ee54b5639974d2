"""What of a run is timed: every method alone, at the sizes of the protocol."""

from collections.abc import Callable, Mapping

from prefine.config.settings import as_json, middle, thresholds, training_settings
from prefine.methods import REFERENCE, method_constant

# Figure 4 times what the paper trained (A.4), what a method's publication did where that is not
# it, and OSRL's number for pi_ref.
TIMED, TIMED_OSRL = {"iterations": 500_000, "batch_size": 256}, {"iterations": 100_000}
OF_A_PUBLICATION = ("iterations", "batch_size", "segments", "bags", "bag_size")
OF_A_PUBLICATION += ("discriminator_iterations", "reference_iterations")


class TimedRun:
    """The part of `Run` that concerns Figure 4."""

    config: Mapping
    folder: str
    tasks: list[str]
    own_data: bool
    is_there: Callable[[str], bool]

    @property
    def timed_task(self) -> str:
        """Figure 4's task, where it is among the config's."""
        own = self.config["figures"]["fig4"]["task"]
        return own if own in self.tasks else self.tasks[0]

    @property
    def timing_is_asked(self) -> bool:
        """A task of the user's own is timed if the config names it: it takes half of the run."""
        asked = not self.own_data or self.config["figures"]["fig4"]["task"] in self.tasks
        return asked and self.is_there("tables/timing.csv")

    def timing_table(self) -> list[str]:
        """The hours of each method, where they are measured."""
        return [f"{self.folder}/tables/timing.csv"] if self.timing_is_asked else []

    def timed_settings(self) -> dict[str, dict]:
        """Each method's settings with the protocol's sizes, whatever a preset cut."""
        config = self.config
        own = {
            name: {key: value for key, value in of.items() if key not in OF_A_PUBLICATION}
            for name, of in config["methods"].items()
        }
        for name in config["studies"]["main"]["methods"]:
            if iterations := method_constant(name, "ITERATIONS", 0):
                own[name] = own.get(name, {}) | {"iterations": iterations}
        whole = config | {"methods": own, "training": config["training"] | TIMED}
        whole["reference"] = config["reference"] | TIMED_OSRL
        names = [REFERENCE, *config["studies"]["main"]["methods"]]
        return {
            name: training_settings(whole, name, self.timed_task) | {"points": 0} for name in names
        }

    def timed_tau(self) -> list:
        """The middle threshold of the timed task as an option; none where labels make sets."""
        tau = middle(thresholds(self.config, self.timed_task))
        return [] if tau is None else ["--tau", tau]

    def timing_blocks(self) -> str:
        """How long each method is timed."""
        own = self.config["figures"]["fig4"]
        return as_json({key: value for key, value in own.items() if key != "task"})
