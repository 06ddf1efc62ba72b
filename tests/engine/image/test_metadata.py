"""Metadata of pictures: what exiftool, an independent reader and writer, makes of it, and damaged input."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from livetint.engine.image import iptc, xmp
from livetint.engine.image.encode import encode_rgb
from livetint.engine.image.metadata import FIELDS, Metadata, read_metadata, with_metadata
from livetint.engine.image.photo import Photo
from PIL import Image

from ...needs import needs
from .picture_files import colour_picture, encode

FORMATS = {".jpg": "JPEG", ".png": "PNG", ".tif": "TIFF", ".webp": "WEBP"}
COMPOSITE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
# What an archive wrote into its scan, with exiftool's names.
DESCRIBED = {
    "XMP-dc:Title": "Der Hafen",
    "IFD0:ImageDescription": "The harbour, negative 1234",
    "XMP-dc:Description": "Möwen über dem Hafen 港",
    "XMP-dc:Description-de": "Möwen",
    "IFD0:Artist": "A. Photographer",
    "XMP-dc:Creator": "Ása Ljósmyndari",
    "IFD0:Copyright": "Town archive",
    "XMP-dc:Rights": "CC BY 4.0",
    "ExifIFD:DateTimeOriginal": "1911:05:04 10:00:00",
    "XMP-photoshop:Credit": "Stadtarchiv",
    "XMP-xmpRights:UsageTerms": "Free with credit",
    "IPTC:Keywords": "gulls",
    "IPTC:City": "Kiel",
    "IPTC:CodedCharacterSet": "UTF8",
    "IPTC:Caption-Abstract": "Möwen",
    "IFD0:Make": "Leitz",
}
PRIVATE = {
    "GPS:GPSLatitude": "54.3",
    "GPS:GPSLatitudeRef": "N",
    "XMP-exif:GPSLatitude": "54.3",
    "ExifIFD:SerialNumber": "SERIAL-1",
    "XMP-aux:SerialNumber": "SERIAL-2",
    "XMP-aux:LensSerialNumber": "SERIAL-3",
    "XMP-iptcExt:LocationCreatedGPSLatitude": "54.3",
    "XMP-crs:Contrast2012": "99",
    "IFD0:Orientation#": "6",
}


def exiftool(*arguments: str | Path) -> str:
    done = subprocess.run(["exiftool", *map(str, arguments)], capture_output=True, text=True, check=False)
    return done.stdout


def tags_of(*paths: Path) -> dict[str, dict[str, Any]]:
    """Tags by "group:name", by file name."""
    found = json.loads(exiftool("-j", "-G1", "-struct", "-n", *paths))
    return {Path(entry["SourceFile"]).name: entry for entry in found}


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> dict[str, Path]:
    """A described picture in each format, 40 × 60 upright, stored turned, at 300 × 600 dots per inch as stored."""
    folder = tmp_path_factory.mktemp("sources")
    paths = {extension: folder / f"scan{extension}" for extension in FORMATS}
    for extension, path in paths.items():
        path.write_bytes(encode(Image.fromarray(colour_picture(60, 40)), FORMATS[extension], dpi=(300, 600)))
    tags = [f"-{name}={value}" for name, value in (DESCRIBED | PRIVATE).items()]
    density = ["-IFD0:XResolution=300", "-IFD0:YResolution=600", "-IFD0:ResolutionUnit=inches"]
    exiftool("-overwrite_original", "-m", *tags, *density, *paths.values())
    return paths


@pytest.fixture(scope="module")
def copies(sources, tmp_path_factory) -> dict[str, dict[str, Any]]:
    """exiftool's reading of coloured copies, by "source extension to extension"."""
    folder = tmp_path_factory.mktemp("copies")
    for start, path in sources.items():
        metadata = read_metadata(path)
        for end in FORMATS:
            (folder / f"{start}{end}").write_bytes(encode_rgb(colour_picture(40, 60), end, metadata))
    return tags_of(*sorted(folder.iterdir()))


pairs = pytest.mark.parametrize("pair", [start + end for start in FORMATS for end in FORMATS])


@needs("exiftool")
@pairs
def test_a_copy_keeps_what_an_archive_wrote(pair, copies):
    tags = copies[pair]
    for name in ("XMP-dc:Title", "XMP-dc:Description", "XMP-dc:Rights", "IFD0:ImageDescription", "IFD0:Artist",
                 "IFD0:Copyright", "ExifIFD:DateTimeOriginal", "XMP-photoshop:Credit", "XMP-xmpRights:UsageTerms",
                 "IFD0:Make"):  # fmt: skip
        assert tags[name] == DESCRIBED[name], name
    assert tags["XMP-dc:Description-de"] == "Möwen"
    assert tags["XMP-dc:Creator"] == ["Ása Ljósmyndari"]
    if not pair.startswith(".webp"):  # WebP has no place for IPTC-IIM
        assert tags["XMP-photoshop:City"] == "Kiel"
        assert tags["XMP-dc:Subject"] == ["gulls"]
        if not pair.endswith(".webp"):
            assert (tags["IPTC:City"], tags["IPTC:Caption-Abstract"]) == ("Kiel", "Möwen")


@needs("exiftool")
@pairs
def test_a_copy_says_what_it_is(pair, copies):
    tags = copies[pair]
    assert tags["XMP-iptcExt:DigitalSourceType"] == COMPOSITE
    assert "colourised" in tags["IFD0:Software"]
    assert "Colourised by Livetint" in tags["XMP-photoshop:History"]
    assert (tags["IFD0:Orientation"], tags["ExifIFD:ColorSpace"], tags["XMP-tiff:Orientation"]) == (1, 1, 1)
    assert (tags["IFD0:XResolution"], tags["IFD0:YResolution"]) == pytest.approx((600, 300), abs=0.01)
    if pair.endswith((".jpg", ".png")):
        group, names = (
            ("JFIF", ("XResolution", "YResolution"))
            if pair.endswith(".jpg")
            else ("PNG-pHYs", ("PixelsPerUnitX", "PixelsPerUnitY"))
        )
        assert tags[f"{group}:{names[0]}"] == pytest.approx(2 * tags[f"{group}:{names[1]}"], rel=1e-4)


@needs("exiftool")
@pairs
def test_a_copy_has_nothing_private_and_nothing_stale(pair, copies):
    text = json.dumps(copies[pair])
    assert "GPS" not in text
    assert "SERIAL" not in text
    assert "crs:" not in text
    assert "54.3" not in text


@needs("exiftool")
def test_the_location_is_kept_where_asked(sources, tmp_path):
    for end in FORMATS:
        metadata = read_metadata(sources[".jpg"], keep_location=True)
        (tmp_path / f"out{end}").write_bytes(encode_rgb(colour_picture(), end, metadata))
    for tags in tags_of(*tmp_path.iterdir()).values():
        assert tags["GPS:GPSLatitude"] == pytest.approx(54.3)
        assert tags["XMP-exif:GPSLatitude"] == pytest.approx(54.3)
        assert "SERIAL" not in json.dumps(tags)


@needs("exiftool")
def test_a_picture_described_by_hand(tmp_path):
    texts = {"title": "Der Hafen", "description": "Coloured by a computer", "credit": "Stadtarchiv", "rights": "CC0"}
    for end in FORMATS:
        (tmp_path / f"out{end}").write_bytes(encode_rgb(colour_picture(), end, Metadata.of_texts(**texts, author="")))
    for name, tags in tags_of(*tmp_path.iterdir()).items():
        assert (tags["XMP-dc:Title"], tags["XMP-photoshop:Credit"]) == ("Der Hafen", "Stadtarchiv")
        assert tags["IFD0:ImageDescription"] == "Coloured by a computer"
        assert tags["IFD0:Copyright"] == "CC0"
        assert "XMP-dc:Creator" not in tags
        assert name.endswith(".webp") or tags["IPTC:ObjectName"] == "Der Hafen"
    with pytest.raises(ValueError, match="colour"):
        Metadata.of_texts(colour="red")


@pytest.mark.parametrize("extension", FORMATS)
def test_pixels_stay_and_a_copy_of_a_copy_says_the_same(extension):
    texts = dict.fromkeys(FIELDS, "x & <ü> 港🙂") | {"created": "1911-05-04", "keywords": ["a", "b"]}
    metadata = Metadata.of_texts(**texts)
    plain = encode_rgb(colour_picture(), extension)
    described = encode_rgb(colour_picture(), extension, metadata)
    assert (Photo.from_bytes(described).rgb == Photo.from_bytes(plain).rgb).all()
    again = read_metadata(described)
    assert {k: tuple(v) for k, v in again.fields.items()} == {k: tuple(v) for k, v in metadata.fields.items()}
    assert encode_rgb(colour_picture(), extension, metadata) == described
    third = encode_rgb(colour_picture(), extension, again)
    assert third.count(b"compositeWithTrained") == 1


@needs("exiftool")
def test_pictures_of_other_encoders(tmp_path):
    """OpenCV writes 16 bits a channel, without a profile."""
    import cv2

    deep = colour_picture().astype(np.uint16) * 257
    for end in (".png", ".tif"):
        data = cv2.imencode(end, deep)[1].tobytes()
        profile = b"\0\0\2\0" + bytes(124)
        (tmp_path / f"out{end}").write_bytes(
            with_metadata(data, end, Metadata.of_texts(title="Deep"), (24, 16), profile=profile)
        )
        assert (cv2.imread(str(tmp_path / f"out{end}"), cv2.IMREAD_UNCHANGED) == deep).all()
    for tags in tags_of(*tmp_path.iterdir()).values():
        assert tags["XMP-dc:Title"] == "Deep"
    assert b"iCCP" in (tmp_path / "out.png").read_bytes()


def test_text_chunks_of_png_and_comments_of_jpeg():
    from PIL import PngImagePlugin

    chunks = PngImagePlugin.PngInfo()
    chunks.add_text("Title", "Hafen")
    chunks.add_itxt("Author", "Ása")
    image = Image.fromarray(colour_picture())
    fields = read_metadata(encode(image, "PNG", pnginfo=chunks)).fields
    assert (fields["title"], fields["author"]) == (("Hafen",), ("Ása",))
    assert read_metadata(encode(image, "JPEG", comment="négatif 7")).fields == {"comment": ("négatif 7",)}


def test_a_packet_too_large_for_a_jpeg_is_reduced_to_its_fields():
    large = Metadata.of_texts(title="Hafen", description="ü" * 70_000)
    for source in (large, read_metadata(encode_rgb(colour_picture(), ".png", large))):
        again = read_metadata(encode_rgb(colour_picture(), ".jpg", source))
        assert again.fields["title"] == ("Hafen",)
        assert again.fields["description"][0].startswith("ü" * 100)


def test_anything_that_is_no_picture_has_no_metadata(tmp_path):
    for source in (b"", b"not a picture", tmp_path, tmp_path / "none.jpg", encode_rgb(colour_picture(), ".jpg")[:30]):
        assert read_metadata(source) == Metadata()


BOMB = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><x:xmpmeta xmlns:x="adobe:ns:meta/">&b;</x:xmpmeta>'
RDF = b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">%s</rdf:RDF>'


@pytest.mark.parametrize("packet", [b"", b"<", BOMB, b"<x/>", RDF[:-3] % b"", b"\xff\xfe<\0", b" " * (5 << 20)])
def test_packets_that_cannot_be_read(packet):
    assert xmp.parse(packet) is None


def test_a_packet_nested_without_end_is_replaced():
    deep = RDF % (b"<rdf:Description><a>" + b"<b>" * 5000 + b"</b>" * 5000 + b"</a></rdf:Description>")
    data = encode_rgb(colour_picture(), ".png", Metadata(packet=deep))
    assert b"compositeWithTrained" in data


def _damaged(data: bytes) -> Iterator[bytes]:
    for at in range(0, len(data), max(1, len(data) // 60)):
        yield data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


@pytest.mark.parametrize("extension", FORMATS)
def test_damaged_metadata_never_raises_and_what_is_written_of_it_is_sound(extension):
    metadata = Metadata.of_texts(title="Hafen", description="Möwen", author="A", rights="R", created="1911-05-04")
    data = encode_rgb(colour_picture(4, 4), extension, metadata)
    for part in _damaged(data[:6000]):
        found = read_metadata(part + data[6000:])
        again = read_metadata(encode_rgb(colour_picture(4, 4), ".png", found))
        assert set(found.fields) - {"comment"} <= set(again.fields)


@given(st.dictionaries(st.sampled_from(sorted(iptc.DATASETS)), st.lists(st.text(max_size=80), max_size=3)))
@settings(max_examples=25, deadline=None)
def test_iptc_texts_survive(fields):
    block = iptc.serialise(iptc.from_texts(fields), "Livetint", "1")
    again = iptc.texts(iptc.parse(block))
    for name, values in again.items():
        assert name == "created" or len(values) <= len(fields[name])
    assert iptc.parse_resources(iptc.as_resource(block)) == block


@given(st.binary(max_size=200))
def test_any_bytes_may_be_iptc(data):
    iptc.texts(iptc.parse(data))
    iptc.texts(iptc.parse(b"\x1c\x02" + data))
    iptc.parse_resources(b"8BIM" + data)


@given(st.dictionaries(st.sampled_from(sorted(FIELDS)), st.text(min_size=1), min_size=1))
@settings(max_examples=50, deadline=None)
def test_any_text_can_be_an_xmp_property(fields):
    packet = xmp.serialise(None, {name: [value] for name, value in fields.items()}, "Livetint", "note")
    assert xmp.parse(packet) is not None
