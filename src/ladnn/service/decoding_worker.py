"""The process that decodes: started by `decoding`, told what to do by one socket, trusted little.

Frames on the socket are a JSON head and raw bytes; nothing is pickled, so a worker that hostile
bytes took over could send a wrong picture and nothing worse. It has no settings, no database and no
credentials, can write no file, and is killed when it uses more than it may.
"""

import hashlib
import io
import json
import os
import signal
import socket
import struct
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from ladnn.errors import ImageError
from ladnn.formats import kind_of
from ladnn.imaging import LIMITS, LUNG_WINDOW, CtImage, Window, decode, one_sentence
from ladnn.looks import take_look
from ladnn.lungfield import FRAMES
from ladnn.service.bare import UnknownError, bare
from ladnn.service.deidentify import Key, blank_slice, deidentify
from ladnn.service.errors import places

_LENGTHS = struct.Struct("<II")
_HEAD_BYTES = 1 << 16
_HANDLES = 64
FIELD_NUMBERS = ("lung_share", "body_share", "lung_grey", "tissue_grey")
"""What is said of a `LungField` beside its box and its kind; its mask is not needed any more."""


def send(link: socket.socket, head: dict[str, Any], body: bytes = b"") -> None:
    """Send one frame; the socket's timeout is for all of it."""
    text = json.dumps(head).encode()
    link.sendall(_LENGTHS.pack(len(text), len(body)) + text)
    link.sendall(body)


def receive(link: socket.socket, most: int, seconds: float | None) -> tuple[dict[str, Any], bytes]:
    """Receive one frame with a body of at most `most` bytes within `seconds`.

    Raises EOFError when the other side is gone, TimeoutError, and ValueError for a frame that is
    none.
    """
    end = None if seconds is None else time.monotonic() + seconds
    head_bytes, body_bytes = _LENGTHS.unpack(_exactly(link, _LENGTHS.size, end))
    if head_bytes > _HEAD_BYTES or body_bytes > most:
        raise ValueError(f"a frame of {head_bytes} and {body_bytes} bytes")
    head = json.loads(_exactly(link, head_bytes, end))
    if not isinstance(head, dict):
        raise ValueError("a frame without a head")
    return head, bytes(_exactly(link, body_bytes, end))


def _exactly(link: socket.socket, count: int, end: float | None) -> bytearray:
    data = bytearray(count)
    view = memoryview(data)
    while view:
        if end is not None:
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError
            link.settimeout(left)
        got = link.recv_into(view)
        if not got:
            raise EOFError
        view = view[got:]
    return data


def main() -> None:
    """Answer tasks until the socket closes; `argv` names its handle and the limits."""
    handle, memory, seconds = (int(argument) for argument in sys.argv[1:])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's ^C reaches all; the parent decides
    link = socket.socket(fileno=handle)
    link.settimeout(None)
    key = Key(secret=receive(link, 1024, None)[1])
    _warm_up(key)
    _limit(memory)
    send(link, {"ready": True})
    while True:
        try:
            task, data = receive(link, LIMITS.bytes + 1, None)
        except EOFError:
            return
        _limit_time(seconds)
        head, *bodies = _answer(task, data, key)
        send(link, head, b"".join(bodies))
        signal.setitimer(signal.ITIMER_REAL, 0)


def _warm_up(key: Key) -> None:
    """Load every decoder, so that the first task is as fast as the others and needs no file."""
    import jpeg_ls  # noqa: F401 - pydicom would import it at the first file that needs it
    import openjpeg  # noqa: F401 - the same

    deidentify(blank_slice(), key)
    for kind in ("PNG", "JPEG", "TIFF", "BMP", "WEBP"):
        target = io.BytesIO()
        Image.new("L", (32, 32)).save(target, kind)
        take_look(decode(target.getvalue()).pixels, 32, FRAMES[0])


def _limit(memory: int) -> None:
    """No core dump, no written file, few handles, and `memory` bytes above what stands now."""
    import resource

    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NOFILE: _HANDLES,
    }
    status = Path("/proc/self/statm")
    if status.exists():  # elsewhere than on Linux nobody tells what stands now
        pages = int(status.read_text(encoding="ascii").split()[0])
        limits[resource.RLIMIT_AS] = pages * os.sysconf("SC_PAGE_SIZE") + memory
    for name, value in limits.items():
        resource.setrlimit(name, (value, value))


def _limit_time(seconds: int) -> None:
    """Let the system end this process when a task goes on for too long, in native code too."""
    import resource

    usage = resource.getrusage(resource.RUSAGE_SELF)
    used = usage.ru_utime + usage.ru_stime
    resource.setrlimit(resource.RLIMIT_CPU, (int(used) + seconds + 1, resource.RLIM_INFINITY))
    signal.setitimer(signal.ITIMER_REAL, seconds)


def _answer(task: dict[str, Any], data: bytes, key: Key) -> tuple[Any, ...]:
    """Decode one file: a head, the bytes of its pixels or of a look, and the file to keep."""
    window = Window(**task["window"]) if task["window"] else LUNG_WINDOW
    try:
        image, kept, said = _decoded(data, task["name"], window, task["frame"], key)
    except ImageError as error:
        return ({"error": str(error)},)
    head = {
        "sha256": image.sha256,
        "format": image.format,
        "size": image.size,
        "series": image.series,
        "study": image.study,
        "instance": image.instance,
        "frame": image.frame,
        "frames": image.frames,
        "window": image.window and [image.window.level, image.window.width],
    }
    if "look" not in task:
        shown = {"shape": image.pixels.shape, "burned_in": said}
        return head | shown, image.pixels.tobytes(), kept
    try:
        look = take_look(image.pixels, **task["look"])
    except MemoryError:  # the file's doing: the process ends, as where decoding takes too much
        raise
    except Exception as error:  # a look refuses nothing, so it is a mistake of ours
        return ({"fault": type(error).__name__, "trace": places(error)},)
    field = {name: getattr(look.field, name) for name in ("box", "kind", *FIELD_NUMBERS)}
    evidence = look.evidence.astype("<f4").tobytes()
    return head | {"field": field}, look.square.tobytes(), evidence, kept


def _decoded(
    data: bytes, name: str, window: Window, frame: int | None, key: Key
) -> tuple[CtImage, bytes, bool]:
    """The image, what is kept of its file, and whether the file says that words are burnt in.

    A DICOM file is decoded from what is kept of it.
    """
    with one_sentence(name):
        dicom = kind_of(data, LIMITS) == "DICOM"
        kept = deidentify(data, key, frame=frame) if dicom else None
    if kept is None:
        image = decode(data, name=name, window=window, frame=frame)
        return image, _without_words(data, image), False
    image = decode(kept.data, name=name, window=window)
    digest = hashlib.sha256(data).hexdigest()
    image = replace(image, sha256=digest, frame=kept.frame, frames=kept.frames)
    return image, kept.data, kept.said


def _without_words(data: bytes, image: CtImage) -> bytes:
    """The picture with nothing beside its pixels; where its layout is odd, its grey pixels."""
    try:
        return bare(data, image.format, image.orientation)
    except UnknownError:
        target = io.BytesIO()
        Image.fromarray(image.pixels).save(target, "PNG")
        return target.getvalue()


if __name__ == "__main__":
    main()
