"""The message classes of ``fri.proto``, compiled when this module is imported.

Nothing generated is kept, so there is none that could be of another version than the protobuf library.
"""

import tempfile
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_tools import protoc

from iiwa_bridge.fri.errors import FriMessageError

_SOURCE = Path(__file__).with_name("fri.proto")


def compile_schema(source: Path) -> Any:
    """The descriptors of a ``.proto`` file, in a pool of their own.

    Raises:
        FriMessageError: it cannot be compiled; the compiler's words are on standard error.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "descriptors"
        arguments = ["protoc", f"--proto_path={source.parent}", f"--descriptor_set_out={out}", source.name]
        if protoc.main(arguments) != 0:
            raise FriMessageError(f"{source}: not a .proto file that compiles; the compiler's words are above")
        files = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    return pool


def _message(pool: Any, name: str) -> Any:
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"fri.{name}"))


_POOL = compile_schema(_SOURCE)
MonitoringSchema = _message(_POOL, "FRIMonitoringMessage")
CommandSchema = _message(_POOL, "FRICommandMessage")
