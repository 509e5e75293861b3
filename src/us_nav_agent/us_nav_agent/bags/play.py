"""When each message of a bag is due when it is played."""

from collections.abc import Collection, Iterator

from us_nav_agent.bags.bag import Bag
from us_nav_agent.bags.raw import RawMessage
from us_nav_agent.errors import BagError

OWN_TOPICS = frozenset({"/rosout", "/parameter_events"})
"""Every node publishes these for itself: they are played only where they are asked for by name."""


def schedule(bag: Bag, rate: float, topics: Collection[str] = ()) -> Iterator[tuple[float, RawMessage]]:
    """The messages in the order of their receive times, each with when it is due, from the first one on [s].

    Args:
        bag: to play.
        rate: 1 is the recorded pace, 2 is twice as fast.
        topics: to play; none: all but OWN_TOPICS.

    Raises:
        BagError: the bag is empty or lacks one of the topics.
    """
    held = [name for name, one in bag.survey.topics.items() if one.count]
    missing = sorted(set(topics) - set(held))
    if missing:
        raise BagError(f"{bag.path}: holds no {', '.join(missing)}; it holds {', '.join(sorted(held))}")
    chosen = set(topics) or set(held) - OWN_TOPICS
    messages = bag.raw(chosen)
    if bag.survey.unordered:
        messages = iter(sorted(messages, key=lambda message: message.time_ns))
    for message in messages:
        yield (message.time_ns - bag.survey.start_ns) * 1e-9 / rate, message
