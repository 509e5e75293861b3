"""A process that renders one subject for another process (:mod:`us_grid_sim.sources.live`)."""

import pickle
import sys
from multiprocessing.connection import Connection

import torch

from us_grid_sim.bmode.render import Renderer
from us_grid_sim.errors import UsGridSimError


def serve(connection: Connection) -> None:
    """Receive a pickled phantom, say when it is there, then answer each (pose, contact force, number) with a frame.

    A frame that cannot be rendered is answered with the reason. Ends when the other end of the pipe is closed.
    """
    try:
        renderer = Renderer(pickle.loads(connection.recv()))
        connection.send(True)
        while True:
            pose, contact_force, number = connection.recv()
            try:
                connection.send(renderer.render(pose, contact_force, number)[0])
            except UsGridSimError as error:
                connection.send(str(error))
    except (EOFError, OSError):
        return


def main() -> None:
    """Serve the pipe whose file descriptor is the argument."""
    # The processes share the cores: each keeps to one.
    torch.set_num_threads(1)
    serve(Connection(int(sys.argv[1])))


if __name__ == "__main__":
    main()
