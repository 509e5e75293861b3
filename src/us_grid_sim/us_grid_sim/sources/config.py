"""What the image source node is told, and the source that comes of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from us_grid_sim.errors import SourceError
from us_grid_sim.phantom.record import sample_subject
from us_grid_sim.sources.bag import BagSource
from us_grid_sim.sources.base import FrameSource
from us_grid_sim.sources.dicom import DicomSource
from us_grid_sim.sources.metaimage import MetaImageSource
from us_grid_sim.sources.openigtlink import OpenIgtLinkDevice
from us_grid_sim.sources.picture import Picture, parse_corner, pixel_size
from us_grid_sim.sources.reader import Device
from us_grid_sim.sources.video import VideoDevice, VideoFile

if TYPE_CHECKING:
    from us_grid_sim.sources.phantom import PhantomSource

SOURCES = ("video", "openigtlink", "metaimage", "dicom", "bag", "phantom")
_FILES = {
    "metaimage": "a tracked MetaImage sequence (.mha)",
    "dicom": "a DICOM multi-frame image",
    "bag": "a bag's folder, or an .mcap or .db3 file",
}


@dataclass(frozen=True)
class ImageSourceConfig:
    """Parameters of the node.

    Attributes:
        source: one of SOURCES.
        file: metaimage, dicom, bag: the sequence; video: a video file, or empty for the device.
        device: video: path or index of the V4L2 device.
        host, port, igtl_device: openigtlink: the server, and the device name of its images; empty: any.
        roi: corner of the 800 x 600 region, "x,y" or "middle"; empty: images are 800 x 600.
        mirror_columns, mirror_rows: whether left and right, top and bottom change places.
        mm_per_pixel_x, mm_per_pixel_y: size of a pixel [mm]; both 0: as the source says.
        calibration: metaimage: pixels to probe marker [mm], 16 numbers row by row, by blanks; empty: none.
        seed, subject: phantom: the cohort and the subject's index.
        rate: frames a second; 0: the recorded pace, or the device's own.
        delay: video device, openigtlink: how long before its arrival a frame was captured [s].
        stall_after: the same: without a usable frame for so long it is opened again [s].
        wait_for_subscribers: a sequence begins when so many subscribe to /us/image_raw.
        wait_timeout: longest wait for them [s].
    """

    source: str = "metaimage"
    file: str = ""
    device: str = "/dev/video0"
    host: str = "127.0.0.1"
    port: int = 18944
    igtl_device: str = ""
    roi: str = ""
    mirror_columns: bool = False
    mirror_rows: bool = False
    mm_per_pixel_x: float = 0.0
    mm_per_pixel_y: float = 0.0
    calibration: str = ""
    seed: int = 0
    subject: int = 0
    rate: float = 0.0
    delay: float = 0.0
    stall_after: float = 2.0
    wait_for_subscribers: int = 1
    wait_timeout: float = 20.0

    def __post_init__(self) -> None:
        if self.source not in SOURCES:
            raise SourceError(f'parameter source is "{self.source}"; expected one of {", ".join(SOURCES)}')

    @property
    def is_live(self) -> bool:
        """Whether frames come from a device, at its own rate and without end."""
        return self.source == "openigtlink" or (self.source == "video" and not self.file)

    def picture(self) -> Picture:
        """How images become frames.

        Raises:
            SourceError: a parameter is wrong.
        """
        size = pixel_size(self.mm_per_pixel_x, self.mm_per_pixel_y)
        return Picture(parse_corner(self.roi), self.mirror_columns, self.mirror_rows, size)

    def make_device(self) -> Device:
        """The device of a live source, not yet connected.

        Raises:
            SourceError: a parameter is wrong.
        """
        if self.source == "openigtlink":
            return OpenIgtLinkDevice(self.host, self.port, self.igtl_device, self.picture())
        return VideoDevice(self.device, self.picture())

    def make_sequence(self, begin_ns: int) -> FrameSource:
        """The source of a sequence; one that knows no time of day begins at ``begin_ns``.

        Raises:
            SourceError, FrameError: a parameter is wrong, or the file cannot be used.
        """
        if self.source == "video":
            return VideoFile(Path(self.file), self.picture(), begin_ns)
        if not self.file:
            raise SourceError(f"parameter file is empty; name {_FILES[self.source]}")
        if self.source == "dicom":
            return DicomSource(Path(self.file), self.picture(), begin_ns)
        if self.source == "bag":
            return BagSource(Path(self.file), self.picture())
        return MetaImageSource(Path(self.file), self.picture(), _matrix(self.calibration))

    def make_phantom(self) -> "PhantomSource":
        """The virtual subject.

        Raises:
            SourceError: the rate is that of a recording.
        """
        if self.rate <= 0:
            raise SourceError("parameter rate is 0, the recorded pace; a virtual subject needs a rate above 0")
        # Here, for it needs torch, which takes seconds to import and which no other source needs.
        from us_grid_sim.sources.phantom import PhantomSource

        return PhantomSource(sample_subject(self.seed, self.subject))


def _matrix(text: str) -> list[list[float]] | None:
    """The 4 x 4 numbers in a text, separated by blanks; None of an empty one.

    Raises:
        SourceError: there are others than 16 numbers.
    """
    if not text:
        return None
    try:
        numbers = [float(part) for part in text.split()]
    except ValueError as error:
        raise SourceError(f"parameter calibration: {error}; expected 16 numbers, row by row") from None
    if len(numbers) != 16:
        raise SourceError(f"parameter calibration has {len(numbers)} numbers; expected 16, row by row")
    return [numbers[row : row + 4] for row in range(0, 16, 4)]
