"""Opening photographs: every file that is not a valid picture within the limits is refused in one line."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from livetint.engine.errors import ImageRejected
from livetint.engine.image.photo import Photo
from PIL import Image

from .picture_files import (
    chunk,
    colour_picture,
    encode,
    grey_profile,
    png_header,
    png_of_zeros,
    swapped_rgb_profile,
    tiff,
)

PICTURE = Image.fromarray(colour_picture(40, 30))
GREY16 = Image.fromarray((np.arange(1200, dtype=np.uint16) * 50).reshape(30, 40))


def samples() -> dict[str, bytes]:
    """A small valid file of each of many kinds."""
    exif = Image.Exif()
    exif[0x0112] = 6
    frames = {"save_all": True, "append_images": [PICTURE.rotate(90)]}
    files = {
        "jpeg": encode(PICTURE, "JPEG", exif=exif.tobytes(), icc_profile=swapped_rgb_profile()),
        "progressive": encode(PICTURE, "JPEG", progressive=True),
        "cmyk": encode(PICTURE.convert("CMYK"), "JPEG"),
        "png": encode(PICTURE.convert("RGBA"), "PNG", exif=exif.tobytes()),
        "png16": encode(GREY16, "PNG", icc_profile=grey_profile(1.8), transparency=500),
        "palette": encode(PICTURE.convert("P"), "PNG", transparency=bytes(range(256))),
        "apng": encode(PICTURE, "PNG", **frames),
        "tiff": encode(PICTURE, "TIFF", exif=exif.tobytes()),
        "tiff16": encode(GREY16, "TIFF", compression="tiff_lzw", icc_profile=grey_profile(1.8)),
        "pages": encode(PICTURE, "TIFF", compression="tiff_deflate", **frames),
        "bits": encode(PICTURE.convert("1"), "TIFF", compression="group4"),
        "float": encode(PICTURE.convert("F"), "TIFF"),
        "gif": encode(PICTURE, "GIF", **frames),
        "bmp": encode(PICTURE, "BMP"),
        "ppm": encode(PICTURE, "PPM"),
    }
    for fmt, options in (("WEBP", {}), ("WEBP", frames), ("AVIF", {}), ("JPEG2000", {})):
        if fmt in Image.SAVE:
            files[fmt + "-frames" * bool(options)] = encode(PICTURE, fmt, **options)
    return files


Image.init()
SAMPLES = samples()


def opens_or_is_refused(data: bytes) -> bool:
    """Whether `data` opens. Fails on any result but a valid Photo or a one-line ImageRejected."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            photo = Photo.from_bytes(data, max_megapixels=0.1)
        except ImageRejected as error:
            assert str(error) and "\n" not in str(error)
            return False
    assert photo.L.shape == photo.rgb.shape[:2]
    assert np.isfinite(photo.L).all()
    return True


@pytest.mark.parametrize("kind", SAMPLES)
def test_every_sample_opens(kind):
    assert opens_or_is_refused(SAMPLES[kind])


# Files that are not pictures -------------------------------------------------------------------------------


def test_a_missing_file_a_folder_and_an_empty_file_are_refused(tmp_path):
    with pytest.raises(ImageRejected, match="does not exist"):
        Photo.open(tmp_path / "none.jpg")
    with pytest.raises(ImageRejected, match="folder"):
        Photo.open(tmp_path)
    (tmp_path / "empty.png").touch()
    with pytest.raises(ImageRejected, match=r"empty\.png is empty"):
        Photo.open(tmp_path / "empty.png")
    with pytest.raises(ImageRejected, match="empty"):
        Photo.from_bytes(b"")
    with pytest.raises(ImageRejected, match="cannot be read"):
        Photo.open("a\0b.jpg")
    with pytest.raises(ImageRejected, match="cannot be read"):
        Photo.open(tmp_path / "empty.png" / "inside.png")


def test_a_stream_that_is_closed_or_cannot_seek_is_refused():
    read_end, write_end = os.pipe()
    os.write(write_end, SAMPLES["jpeg"])
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe, pytest.raises(ImageRejected, match="cannot be read"):
        Photo.from_stream(pipe)
    with pytest.raises(ImageRejected, match="cannot be read"):
        Photo.from_stream(pipe)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_refused_without_waiting_for_it(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(ImageRejected, match="ordinary file"):
        Photo.open(tmp_path / "pipe.jpg")


@pytest.mark.parametrize(
    "data",
    [
        b"Dear museum,\nattached is",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.7\n",
        b"\0",
    ],
)
def test_text_named_jpg_and_unknown_formats_are_refused(data, tmp_path):
    path = tmp_path / "letter.jpg"
    path.write_bytes(data)
    with pytest.raises(ImageRejected, match="known format"):
        Photo.open(path)


@pytest.mark.parametrize("fmt", ["ICO", "TGA", "PCX", "EPS", "PDF", "DDS"])
def test_formats_outside_the_list_are_refused_though_pillow_reads_them(fmt):
    with pytest.raises(ImageRejected, match="known format"):
        Photo.from_bytes(encode(PICTURE, fmt))


@pytest.mark.parametrize("kind", SAMPLES)
def test_half_a_file_is_refused(kind):
    with pytest.raises(ImageRejected):
        Photo.from_bytes(SAMPLES[kind][: len(SAMPLES[kind]) // 2])


def test_pictures_without_pixels_are_refused():
    with pytest.raises(ImageRejected):
        Photo.from_bytes(tiff(0, 0, b""))


# Limits ---------------------------------------------------------------------------------------------------


def test_a_header_of_30000_by_30000_is_refused_before_decoding():
    bomb = png_header(30_000, 30_000) + chunk(b"IDAT", b"no deflate stream at all")
    with pytest.raises(ImageRejected, match=r"900\.0 megapixels, more than the limit of 64"):
        Photo.from_bytes(bomb)


def test_a_144_megapixel_png_is_refused_without_a_warning():
    bomb = png_of_zeros(12_000, 12_000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ImageRejected, match=r"144\.0 megapixels"):
            Photo.from_bytes(bomb)


@pytest.mark.parametrize("kind", SAMPLES)
def test_the_limit_holds_for_every_format_and_can_be_raised(kind):
    with pytest.raises(ImageRejected, match="megapixels"):
        Photo.from_bytes(SAMPLES[kind], max_megapixels=0.0011)
    assert Photo.from_bytes(SAMPLES[kind], max_megapixels=0.0012).size in ((40, 30), (30, 40))


def test_the_limit_is_exact_and_may_exceed_pillows_own():
    assert Photo.from_bytes(png_of_zeros(100, 100), max_megapixels=0.01).size == (100, 100)
    broken = png_header(11_000, 13_000) + chunk(b"IDAT", b"x")
    with pytest.raises(ImageRejected, match=r"143\.0 megapixels"):
        Photo.from_bytes(broken, max_megapixels=142.9)
    with pytest.raises(ImageRejected, match="damaged"):  # within the limit, but broken
        Photo.from_bytes(broken, max_megapixels=200)


def test_a_gif_frame_larger_than_its_canvas_counts_against_the_limit():
    gif = bytearray(encode(Image.new("P", (8, 8)), "GIF"))
    frame = gif.index(b"\x2c\0\0\0\0\x08\0\x08\0")
    gif[frame + 5 : frame + 9] = b"\xff\xff\xff\xff"
    with pytest.raises(ImageRejected, match="megapixels"):
        Photo.from_bytes(bytes(gif))


def test_the_process_wide_settings_of_pillow_are_left_as_they_were():
    before = Image.MAX_IMAGE_PIXELS
    for data in (SAMPLES["png"], SAMPLES["png"][:60], png_header(30_000, 30_000)):
        opens_or_is_refused(data)
        assert before == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("limit", [0, -1, float("nan"), float("inf")])
def test_an_unusable_limit_is_refused(limit):
    with pytest.raises(ImageRejected, match="positive"):
        Photo.from_bytes(SAMPLES["png"], max_megapixels=limit)


def test_several_threads_may_open_photographs():
    results: list[bool] = []

    def work(kind: str) -> None:
        photo = Photo.from_bytes(SAMPLES[kind])
        results.append(photo.size in ((40, 30), (30, 40)))

    threads = [threading.Thread(target=work, args=(kind,)) for kind in SAMPLES]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * len(SAMPLES)


def test_damaged_files_write_nothing_to_the_terminal(tmp_path):
    # libtiff and other libraries print from C, which can be observed only in another process.
    for kind, data in SAMPLES.items():
        (tmp_path / f"{kind}-short").write_bytes(data[: len(data) * 2 // 3])
        middle = len(data) // 2
        (tmp_path / f"{kind}-hole").write_bytes(data[:middle] + bytes(40) + data[middle + 40 :])
    code = (
        "import sys, pathlib\n"
        "from livetint.engine.image.photo import Photo\n"
        "from livetint.engine.errors import ImageRejected\n"
        "for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):\n"
        "    try: Photo.open(path)\n"
        "    except ImageRejected: pass\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# Random and damaged files ---------------------------------------------------------------------------------

fuzz = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
MAGIC = [
    *(b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b"GIF89a", b"BM"),
    *(b"P5 9 9 ", b"RIFF\0\0\0\0WEBPVP8 ", b"\0\0\0\x20ftypavif", b"\0\0\0\x0cjP  \r\n\x87\n", b""),
]


@fuzz
@given(st.sampled_from(MAGIC), st.binary(max_size=400))
def test_random_bytes_open_or_are_refused(magic, tail):
    opens_or_is_refused(magic + tail)


@fuzz
@given(st.sampled_from(sorted(SAMPLES)), st.floats(0, 1, exclude_max=True))
def test_files_cut_anywhere_open_or_are_refused(kind, where):
    opens_or_is_refused(SAMPLES[kind][: int(len(SAMPLES[kind]) * where)])


@fuzz
@given(
    st.sampled_from(sorted(SAMPLES)),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8),
    st.booleans(),
)
def test_files_with_changed_bytes_open_or_are_refused(kind, changes, in_header):
    data = bytearray(SAMPLES[kind])
    reach = min(200, len(data)) if in_header else len(data)
    for where, value in changes:
        data[int(where * reach)] = value
    opens_or_is_refused(bytes(data))


@fuzz
@given(st.sampled_from(sorted(SAMPLES)), st.floats(0, 1), st.floats(0, 1), st.binary(max_size=60))
def test_files_with_a_part_replaced_open_or_are_refused(kind, first, second, filling):
    data = SAMPLES[kind]
    start, stop = sorted(int(len(data) * where) for where in (first, second))
    opens_or_is_refused(data[:start] + filling + data[stop:])


@fuzz
@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
    st.integers(0, 65535),
    st.sampled_from(["photometric", "sample_format", "bits"]),
)
def test_tiff_files_with_false_headers_open_or_are_refused(width, height, value, tag):
    opens_or_is_refused(tiff(width, height, bytes(800), **{tag: value}))
    opens_or_is_refused(tiff(20, 20, bytes(800), **{tag: value}))
