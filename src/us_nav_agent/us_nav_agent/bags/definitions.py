"""The message definitions that a bag needs: ROS 2's own, ours as they are installed, and those that it brings along."""

import os
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from rosbags.typesys import Stores, TypesysError, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from us_nav_agent.bags.raw import Topic
from us_nav_agent.errors import BagError

PACKAGE = "us_nav_interfaces"
_RULE = "=" * 80 + "\n"
_UNREADABLE = (TypesysError, ValueError, AssertionError)


def interfaces_folder() -> Path:
    """Where the installed .msg and .action files of us_nav_interfaces lie, in msg/ and action/.

    Raises:
        BagError: the package is not built.
    """
    prefixes = [*os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep), sys.prefix]
    for prefix in filter(None, prefixes):
        folder = Path(prefix) / "share" / PACKAGE
        if (folder / "msg").is_dir():
            return folder
    raise BagError(f"{PACKAGE} is not built: run `make setup`, or source the workspace's install/setup.bash")


def make_typestore() -> Typestore:
    """ROS 2 Kilted's messages, ours, and those of the feedback topics of our actions.

    Raises:
        BagError: us_nav_interfaces is not built.
    """
    store = get_typestore(Stores.ROS2_KILTED)
    folder = interfaces_folder()
    for file in sorted((folder / "msg").glob("*.msg")):
        store.register(get_types_from_msg(file.read_text(), f"{PACKAGE}/msg/{file.stem}"))
    for file in sorted((folder / "action").glob("*.action")):
        for name, text in _feedback_parts(file).items():
            store.register(get_types_from_msg(text, name))
    return store


def _feedback_parts(file: Path) -> dict[str, str]:
    """The definitions, by name, that the feedback topic of an action consists of, as rosidl makes them of it."""
    feedback = f"{PACKAGE}/action/{file.stem}_Feedback"
    text = file.read_text().split("\n---\n")[2]
    return {feedback: text, f"{feedback}Message": f"unique_identifier_msgs/UUID goal_id\n{feedback} feedback\n"}


def full_definition(store: Typestore, message_type: str) -> str:
    """The text of a message type and of all that it is made of, as a bag holds it."""
    if "/action/" not in message_type:
        return str(store.generate_msgdef(message_type, ros_version=2)[0])
    # rosbags writes no definition of the parts of an action: put together of those that it can.
    action = message_type.rsplit("/", 1)[1].removesuffix("_FeedbackMessage")
    own = _feedback_parts(interfaces_folder() / "action" / f"{action}.action")
    parts = {f"MSG: {name}": text for name, text in own.items() if name != message_type}
    for name in own:
        for _, (_, field) in store.fielddefs[name][1]:
            if isinstance(field, str) and "/msg/" in field:
                first, *rest = full_definition(store, field).split(_RULE)
                parts[f"MSG: {field.replace('/msg/', '/')}"] = first
                for part in rest:
                    head, _, text = part.partition("\n")
                    parts[head] = text
    return own[message_type] + "".join(f"{_RULE}{head}\n{text}" for head, text in parts.items())


@cache
def known_definitions() -> Mapping[str, Any]:
    """Constants and fields of every message known here, by name; ROS 2's alone where ours are not built."""
    try:
        return dict(make_typestore().fielddefs)
    except BagError:
        return dict(get_typestore(Stores.ROS2_KILTED).fielddefs)


def store_for(topics: Iterable[Topic]) -> tuple[Typestore, list[str]]:
    """What reads the messages of these topics, and what is to be said of their definitions.

    The definitions in the bag win: the messages were written with them. Where they differ from ours that is said.
    """
    known, notes, listed = known_definitions(), [], list(topics)
    brought: dict[str, Any] = {}
    for topic in listed:
        try:
            brought.update(_parsed(topic))
        except _UNREADABLE as error:
            notes.append(f"{topic.name}: the bag's definition of {topic.type} cannot be read ({error}); ours is taken")
    for name, difference in _differences(brought).items():
        notes.append(f"{name} is defined otherwise in the bag than here ({difference}); the bag's is used")
    store = get_typestore(Stores.EMPTY)
    # Registering all that is known takes a third of a second: only where a topic comes without its definition.
    lacking = {topic.type for topic in listed} - brought.keys()
    store.register({**known, **brought} if lacking else brought)
    return store, notes


def foreign(topic: Topic) -> str:
    """How the bag's definition of a topic's type differs from the one here, in words; empty where it does not."""
    try:
        return "; ".join(f"{name}: {words}" for name, words in _differences(_parsed(topic)).items())
    except _UNREADABLE as error:
        return f"the definition in the bag cannot be read ({error})"


def _differences(brought: Mapping[str, Any]) -> dict[str, str]:
    """Of the types that a bag brings along those that are known here and differ, with the difference."""
    known = known_definitions()
    found = {name: _difference(one[1], known[name][1]) for name, one in brought.items() if name in known}
    return {name: words for name, words in found.items() if words}


def _parsed(topic: Topic) -> dict[str, Any]:
    """The types that the definition of a topic brings along; none where the bag has none."""
    if topic.definition_format == "ros2msg":
        return dict(get_types_from_msg(topic.definition, topic.type))
    if topic.definition_format == "ros2idl":
        types: dict[str, Any] = {}
        for part in topic.definition.split(_RULE):
            types.update(get_types_from_idl(part.split("\n", 1)[1] if part.startswith("IDL: ") else part))
        return types
    return {}


def _difference(theirs: Iterable[tuple[str, Any]], ours: Iterable[tuple[str, Any]]) -> str:
    """How two lists of fields differ, in words; empty where they do not."""
    have, expected = list(theirs), list(ours)
    if have == expected:
        return ""
    there, here = dict(have), dict(expected)
    words = [f"no field {name}" for name in here if name not in there]
    words += [f"a field {name} more" for name in there if name not in here]
    words += [f"another type of {name}" for name in there if name in here and there[name] != here[name]]
    return ", ".join(words) or "another order of the fields"
