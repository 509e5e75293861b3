"""Publishes the frames of a source: a device, a recorded sequence, or a virtual subject seen by the probe."""

import math

from rclpy.node import Node

from us_grid_sim.ros.image_outlet import ImageOutlet
from us_grid_sim.ros.image_source_parameters import declare
from us_grid_sim.ros.players import LivePlayer, Player, SequencePlayer
from us_grid_sim.ros.running import run
from us_grid_sim.ros.shutdown import leave
from us_grid_sim.sources.reader import LiveReader
from us_grid_sim.sources.supervision import Supervisor


class ImageSourceNode(Node):
    """Publishes frames with their capture times; a sequence ends the node, a device or a virtual subject goes on."""

    def __init__(self) -> None:
        super().__init__("image_source")
        self.config = declare(self)
        # A sequence that waits for its subscribers is not stalled; rendering has a deadline of its own.
        self._supervisor = Supervisor(self.config.stall_after if self.config.is_live else math.inf)
        self._outlet = ImageOutlet(self, self._supervisor)
        self._player = self._make_player()

    @property
    def finished(self) -> bool:
        """Whether there is nothing more to publish."""
        return self._player.finished

    @property
    def exit_code(self) -> int:
        """0 where all went well."""
        return self._player.exit_code

    def _make_player(self) -> Player:
        config, outlet = self.config, self._outlet
        if config.is_live:
            log = self.get_logger().error
            reader = LiveReader(config.make_device(), self._supervisor, outlet.now, config.delay, log)
            player: Player = LivePlayer(reader, config.rate, outlet)
            self.get_logger().info(f"{config.source}: {reader.info.detail}")
        elif config.source == "phantom":
            # Here, for it needs torch, which takes seconds to import and which no other source needs.
            from us_grid_sim.ros.phantom_player import PhantomPlayer

            player = PhantomPlayer(self, config, self._supervisor, outlet)
            self.get_logger().info(f"phantom: subject {config.subject} of cohort {config.seed}")
        else:
            source = config.make_sequence(outlet.now())
            player = SequencePlayer(config, source, self._supervisor, outlet)
            self.get_logger().info(f"{source.info.source}: {source.info.detail}")
        return player

    def close(self) -> None:
        """Give back what the node holds."""
        self._player.close()


def main() -> None:
    """Run the node."""
    leave(run(ImageSourceNode))


if __name__ == "__main__":
    main()
