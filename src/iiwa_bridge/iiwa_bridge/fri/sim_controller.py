"""A simulated controller: KUKA's side of FRI over real UDP, in front of a simulated robot."""

import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event
from types import TracebackType

from iiwa_bridge.fri.controller_session import ControllerConfig, ControllerSession
from iiwa_bridge.fri.errors import FriMessageError
from iiwa_bridge.fri.losses import NONE, Losses
from iiwa_bridge.fri.messages import decode_command, encode_monitoring
from iiwa_bridge.fri.udp import PORT, Address, Endpoint
from iiwa_bridge.robot import Cell, CellState


@dataclass(frozen=True)
class SimAddress:
    """Where the controller is and whom it talks to.

    Attributes:
        client: who gets the monitoring messages, and whose answers are taken.
        address: that they come from. KUKA's client may connect its socket to it, with the client's own port number:
            on one machine that takes another network namespace, or a client that names no controller.
        answer_timeout: None: a message each period of the steady clock. Otherwise lock-step, where time is virtual
            and the next message follows the answer at once, or after this time without one [s].
        losses: datagrams that the network between the two loses. No answer to them is waited for.
    """

    client: Address
    address: Address = ("0.0.0.0", PORT)
    answer_timeout: float | None = None
    losses: Losses = NONE


class SimController:
    """Runs a controller's session, on this thread by ``run`` or on one of its own as a context manager.

    Args:
        config: of the session.
        cell: the robot; it is reset here, advanced by a period each cycle, and closed by whoever made it.
        network: where the controller is.

    Raises:
        FriSessionError: the address cannot be listened on.
    """

    def __init__(self, config: ControllerConfig, cell: Cell, network: SimAddress) -> None:
        self._config, self._cell, self._network = config, cell, network
        self._endpoint = Endpoint(network.address, network.client)
        self._robot: CellState = cell.reset()
        self.session = ControllerSession(config, self._robot)
        self.overruns = 0
        """Periods that passed without a message, since the machine or the robot's simulation was too slow."""
        self._sent = 0
        self._answer_lost = self._silent = False
        self._stopping = Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="simulated controller")
        self._running: Future[None] | None = None

    @property
    def address(self) -> Address:
        """What the controller listens on and sends from."""
        return self._endpoint.address

    @property
    def foreign(self) -> int:
        """Datagrams that came from others than the client."""
        return self._endpoint.foreign

    @property
    def running(self) -> bool:
        """Whether the session runs on the controller's own thread."""
        return self._running is not None and not self._running.done()

    def run(self) -> None:
        """Run the session until :meth:`stop`; its last message says IDLE, at which KUKA's examples end."""
        self._send()
        due = time.monotonic() + self._config.period
        while not self._stopping.is_set():
            if self._network.answer_timeout is None:
                due = self._wait_for(due)
            else:
                self._wait_for_answer(time.monotonic() + self._network.answer_timeout)
            self.session.close_cycle()
            self._robot = self._cell.advance(self.session.command, self.session.control, self._config.period)
            self._send()
        self.session.end()
        self._send()

    def stop(self) -> None:
        """End :meth:`run` after the cycle under way."""
        self._stopping.set()

    def close(self) -> None:
        """Stop and give the port back; raises what ended the thread, if something did."""
        self.stop()
        self._thread.shutdown()
        self._endpoint.close()
        if self._running is not None:
            self._running.result()

    def _wait_for(self, due: float) -> float:
        """Take answers until the next message is due; returns when the one after it is.

        Times stay multiples of the period from the start. Periods that were missed are left out and counted: a burst
        of messages would find a client that cannot have answered.
        """
        self._take(time.monotonic())
        while time.monotonic() < due:
            self._take(due)
        late = int((time.monotonic() - due) / self._config.period)
        self.overruns += late
        return due + (late + 1) * self._config.period

    def _wait_for_answer(self, deadline: float) -> None:
        self._take(time.monotonic())
        while self.session.due and not self._silent and time.monotonic() < deadline and not self._stopping.is_set():
            self._take(deadline)

    def _take(self, deadline: float) -> None:
        for arrival in self._endpoint.receive(deadline):
            if self._answer_lost:
                self._silent = True
                continue
            try:
                self.session.receive(decode_command(arrival.content))
            except FriMessageError as error:
                self.session.refuse(error)

    def _send(self) -> None:
        """Send the next message; ``_silent`` says that no answer to it will come any more."""
        message = encode_monitoring(self.session.message(self._robot))
        self._silent, self._answer_lost = self._network.losses.of(self._sent)
        self._sent += 1
        if not self._silent:
            self._endpoint.send(message)

    def __enter__(self) -> "SimController":
        self._running = self._thread.submit(self.run)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
