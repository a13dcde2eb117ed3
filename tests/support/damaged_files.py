"""Files that are almost right, by thousands: `python damaged_files.py KIND FIRST COUNT` reads each as the project does.

It runs in a process of its own, as a decoder could take its process with it. A file may be read or be refused with a
sentence; what else happens is printed, a line a file, with the seed that makes it again.
"""

from __future__ import annotations

import io
import json
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np

SECONDS, MEGABYTES = 10, 1000
"""Of the processor and of memory: more than that no damaged file may take."""

TOKENS = [
    *(b"nan", b"inf", b"-1", b"0", b"1e300", b"-1e300", b"999999", b"9" * 40, b"0x10", b"1_000", b"1.0", b".5", b""),
    *(b"\xef\xbb\xbf", b"\x00", b"\r", b"\r\n\r\n", b"\xff\xfe", b";", b"\t", b" ", b"#", b'"', b"\xd9\xa3", b"True"),
    *(b"{", b"}", b"[", b"]", b":", b"null", b"-", b"1,1", b"\n", b"a" * 5000),
]


def mutated(data: bytes, random: np.random.Generator, text: bool) -> bytes:
    """A few bytes, pieces or (of `text`) words of it are others."""
    found = bytearray(data)
    for _ in range(int(random.integers(1, 5))):
        at = int(random.integers(0, len(found) + 1))
        end = min(len(found), at + int(random.integers(1, 40)))
        way = random.integers(0, 7 if text else 5)
        if way == 0 and at < len(found):
            found[at] ^= 1 << int(random.integers(0, 8))
        elif way == 1:
            del found[at:end]
        elif way == 2:
            found[at:at] = found[at:end] * int(random.integers(1, 4))
        elif way == 3:
            found[at:end] = random.integers(0, 256, end - at, dtype=np.uint8).tobytes()
        elif way == 4:
            del found[at:]
        else:
            found[at : at + int(random.integers(0, 3))] = TOKENS[int(random.integers(0, len(TOKENS)))]
    return bytes(found)


def tables(folder: Path) -> Iterator[tuple[str, bytes, list[Callable[[Path], object]]]]:
    """Rows of truth, of results and of a detector, and a seqinfo.ini."""
    from clmot.check.judge import check
    from clmot.motchallenge.annotations import read_detections, read_ground_truth, read_results
    from clmot.motchallenge.sequence import read_seqinfo

    rows = [
        f"{f},{i},{10 * i + f},{20 + i},{30.5 + f},{60},1,1,{0.1 * i:.1f}" for f in range(1, 21) for i in range(1, 4)
    ]
    found = [f"{f},-1,{10 * i},{20 + f},30,60.25,{0.3 * i:.2f},-1,-1,-1" for f in range(1, 21) for i in range(1, 4)]
    yield "gt.txt", "\n".join(rows).encode(), [lambda path: read_ground_truth(path, length=20)]
    yield "results.txt", "\n".join(found).encode().replace(b",-1,", b",1,", 1), [read_results]
    yield "det.txt", "\r\n".join(found).encode(), [read_detections, lambda path: check(str(path))]
    ini = b"[Sequence]\nname=a\nimDir=img1\nframeRate=25\nseqLength=20\nimWidth=64\nimHeight=48\nimExt=.jpg\n"
    yield "seqinfo.ini", ini, [read_seqinfo]


def images(folder: Path) -> Iterator[tuple[str, bytes, list[Callable[[Path], object]]]]:
    """JPEG and PNG."""
    import cv2

    from clmot.images import read_image

    picture = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    for ending in (".jpg", ".png"):
        yield f"000001{ending}", cv2.imencode(ending, picture)[1].tobytes(), [read_image]


def videos(folder: Path) -> Iterator[tuple[str, bytes, list[Callable[[Path], object]]]]:
    """H.264 in mp4 and Matroska, as films of the pipeline and as what `clmot track` reads."""
    import av

    from clmot.films.video import measure
    from clmot.inference.image_sources import open_images

    def decoded(path: Path) -> None:
        with closing(open_images(path)) as source:
            for _ in source:
                pass

    random = np.random.default_rng(0)
    for ending in ("mp4", "mkv"):
        path = folder / f"whole.{ending}"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for _ in range(10):
                frame = av.VideoFrame.from_ndarray(random.integers(0, 256, (48, 64, 3), np.uint8), format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        yield f"film.{ending}", path.read_bytes(), [measure, decoded]


def weights(folder: Path) -> Iterator[tuple[str, bytes, list[Callable[[Path], object]]]]:
    """A state dict as torch and as safetensors write it, and a model's config."""
    import torch
    from safetensors.torch import save

    from clmot.models.checkpoint import read_config, read_weights

    state = {"base.weight": torch.ones(4, 3), "id.0.bias": torch.zeros(4), "steps": torch.tensor(3)}
    stream = io.BytesIO()
    torch.save({"state_dict": state, "epoch": 3}, stream)
    yield "weights.pth", stream.getvalue(), [read_weights]
    yield "weights.safetensors", save(state), [read_weights]
    config = {"backbone": "dla34", "neck": "dla", "operator": "conv", "dcn_implementation": "auto"}
    config |= {"neck_channels": [16, 16, 16, 16], "head_channels": 16, "embedding_dim": 4, "projection_dim": 0}
    config |= {"identities": 0, "box_channels": 2}
    yield "config.json", json.dumps(config).encode(), [read_config]


KINDS = {"tables": tables, "images": images, "videos": videos, "weights": weights}


def most_memory() -> float:
    """Megabytes that this process ever had in memory; 0 where the system does not tell.

    Not `getrusage`: what that tells of a process began with what its parent had.
    """
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return sum(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))


def main(kind: str, first: int, count: int) -> None:
    """Try the files `first` to `first + count - 1` of a kind."""
    from clmot.errors import InputError

    with tempfile.TemporaryDirectory() as folder:
        cases = list(KINDS[kind](Path(folder)))
        for seed in range(first, first + count):
            name, data, readers = cases[seed % len(cases)]
            text = name.endswith((".txt", ".ini", ".json"))
            path = Path(folder) / name
            path.write_bytes(mutated(data, np.random.default_rng([seed, 7]), text))
            begin = time.process_time()
            try:
                with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
                    for read in readers:
                        read(path)
            except InputError as error:
                if not str(error).strip() or len(str(error)) > 5000:
                    print(f"{kind} {seed}: no sentence: {str(error)[:200]!r}")
            except Exception:
                print(f"{kind} {seed}: {traceback.format_exc().splitlines()[-1]}")
            if time.process_time() - begin > SECONDS:
                print(f"{kind} {seed}: {time.process_time() - begin:.0f} s of the processor")
        used = most_memory()
        if used > MEGABYTES:
            print(f"{kind} {first} to {first + count - 1}: {used:.0f} MB")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
