"""XMP packets: reading descriptive fields, dropping what is private or no longer true, adding what is."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence

_PREFIXES = {
    "x": "adobe:ns:meta/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "dc": "http://purl.org/dc/elements/1.1/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "xmpMM": "http://ns.adobe.com/xap/1.0/mm/",
    "xmpRights": "http://ns.adobe.com/xap/1.0/rights/",
    "xmpNote": "http://ns.adobe.com/xmp/note/",
    "stRef": "http://ns.adobe.com/xap/1.0/sType/ResourceRef#",
    "stEvt": "http://ns.adobe.com/xap/1.0/sType/ResourceEvent#",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "Iptc4xmpCore": "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "plus": "http://ns.useplus.org/ldf/xmp/1.0/",
    "tiff": "http://ns.adobe.com/tiff/1.0/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "exifEX": "http://cipa.jp/exif/1.0/",
    "aux": "http://ns.adobe.com/exif/1.0/aux/",
    "crs": "http://ns.adobe.com/camera-raw-settings/1.0/",
    "mwg-rs": "http://www.metadataworkinggroup.com/schemas/regions/",
    "MP": "http://ns.microsoft.com/photo/1.2/",
    "hdrgm": "http://ns.adobe.com/hdr-gain-map/1.0/",
    "google": "http://ns.google.com/photos/1.0/",
}
for _prefix, _uri in _PREFIXES.items():
    ET.register_namespace(_prefix, _uri)


def _name(qualified: str) -> str:
    prefix, local = qualified.split(":")
    return f"{{{_PREFIXES[prefix]}}}{local}"


# field: (property, its form: one text, a text by language, an ordered or an unordered list)
PROPERTIES: dict[str, tuple[str, str]] = {
    "title": ("dc:title", "Alt"),
    "description": ("dc:description", "Alt"),
    "author": ("dc:creator", "Seq"),
    "rights": ("dc:rights", "Alt"),
    "keywords": ("dc:subject", "Bag"),
    "credit": ("photoshop:Credit", ""),
    "source": ("photoshop:Source", ""),
    "headline": ("photoshop:Headline", ""),
    "instructions": ("photoshop:Instructions", ""),
    "created": ("photoshop:DateCreated", ""),
    "city": ("photoshop:City", ""),
    "state": ("photoshop:State", ""),
    "country": ("photoshop:Country", ""),
    "comment": ("exif:UserComment", "Alt"),
}
_COMPOSITE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"

# About the file of the source, or replaced: no longer true of a coloured copy.
_STALE_BY_PREFIX = {
    "tiff": "Orientation ImageWidth ImageLength BitsPerSample SamplesPerPixel Compression PhotometricInterpretation "
    "PlanarConfiguration YCbCrSubSampling YCbCrPositioning XResolution YResolution ResolutionUnit Software",
    "exif": "PixelXDimension PixelYDimension ColorSpace",
    "xmp": "Thumbnails CreatorTool ModifyDate MetadataDate",
    "xmpMM": "InstanceID",
    "xmpNote": "HasExtendedXMP",
    "photoshop": "ICCProfile ColorMode",
    "Iptc4xmpExt": "DigitalSourceType",
}
_SERIAL_NUMBERS_BY_PREFIX = {
    "aux": "SerialNumber LensSerialNumber OwnerName",
    "exifEX": "BodySerialNumber LensSerialNumber CameraOwnerName",
}
# An editor would apply these to the coloured picture once more, or look for data behind the picture.
_STALE_NAMESPACES = tuple("{" + _PREFIXES[prefix] for prefix in ("crs", "hdrgm", "google"))
# Regions refer to the picture as it is stored, so they are lost where that was not upright.
_REGIONS = {_name("mwg-rs:Regions"), _name("MP:RegionInfo")}
_GPS = _name("exif:GPS")
MAX_BYTES = 4 << 20

_RDF, _DESCRIPTION, _ABOUT, _LI = (_name(f"rdf:{name}") for name in ("RDF", "Description", "about", "li"))
_LANG = "{http://www.w3.org/XML/1998/namespace}lang"


class _NoDoctype(ET.TreeBuilder):
    """Refuses document types: their entities can expand without bound."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise ValueError("an XMP packet has no document type")


def parse(packet: bytes) -> ET.Element | None:
    """The rdf:RDF element of a packet, or None where there is none that can be read."""
    if not packet or len(packet) > MAX_BYTES:
        return None
    try:
        root = ET.fromstring(packet.strip(b"\0 \r\n\t"), ET.XMLParser(target=_NoDoctype()))
    except (ET.ParseError, ValueError, LookupError):
        return None
    return next(root.iter(_RDF), None)


def texts(rdf: ET.Element) -> dict[str, tuple[str, ...]]:
    """The descriptive fields (keys of PROPERTIES) that have a value."""
    found = {field: _values(rdf, _name(name)) for field, (name, _) in PROPERTIES.items()}
    return {field: values for field, values in found.items() if values}


def _values(rdf: ET.Element, name: str) -> tuple[str, ...]:
    """The texts of a property. Of a text by language: the default one alone."""
    for description in rdf.iter(_DESCRIPTION):
        if description.get(name):
            return (description.get(name, ""),)
        element = description.find(name)
        if element is None:
            continue
        items = list(element.iter(_LI))
        words = [(item.text or "").strip() for item in items] if items else [(element.text or "").strip()]
        if items and items[0].get(_LANG):
            default = [i for i, item in enumerate(items) if item.get(_LANG) == "x-default"]
            words = [words[default[0] if default else 0]]
        if any(words):
            return tuple(filter(None, words))
    return ()


def serialise(
    rdf: ET.Element | None,
    fields: Mapping[str, Sequence[str]],
    software: str,
    note: str,
    *,
    keep_location: bool = False,
    was_turned: bool = False,
) -> bytes:
    """A packet with the properties of `rdf` (which is changed) that are still true, and with `fields` where they are
    missing. It says that `software` made a composite with trained algorithmic media, and how (`note`).

    keep_location: whether GPS coordinates stay. was_turned: the source was not stored upright.
    """
    rdf = ET.Element(_RDF) if rdf is None else rdf
    _drop(rdf, keep_location, was_turned)
    own = ET.SubElement(rdf, _DESCRIPTION, {_ABOUT: next((d.get(_ABOUT, "") for d in rdf), "")})
    history = "; ".join((*_values(rdf, _name("photoshop:History")), note))
    for element in rdf:
        _remove(element, {_name("photoshop:History")})
    present = texts(rdf)
    for field, values in fields.items():
        if field in PROPERTIES and field not in present:
            _add(own, *PROPERTIES[field], values)
    for name, value in (
        ("tiff:Orientation", "1"),
        ("exif:ColorSpace", "1"),
        ("xmp:CreatorTool", software),
        ("photoshop:History", history),
        ("Iptc4xmpExt:DigitalSourceType", _COMPOSITE),
    ):
        _add(own, name, "", [value])
    try:
        root = ET.Element(_name("x:xmpmeta"))
        root.append(rdf)
        body = ET.tostring(root, encoding="utf-8")
    except (RecursionError, ValueError):
        return serialise(None, fields, software, note)  # nested without end
    return b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>\n' + body + b'\n<?xpacket end="w"?>'


def _names(by_prefix: Mapping[str, str]) -> set[str]:
    return {_name(f"{prefix}:{local}") for prefix, locals_ in by_prefix.items() for local in locals_.split()}


def _drop(rdf: ET.Element, keep_location: bool, was_turned: bool) -> None:
    """Remove what is private or not true of the coloured copy, at any depth."""
    names = _names(_STALE_BY_PREFIX) | _names(_SERIAL_NUMBERS_BY_PREFIX) | (_REGIONS if was_turned else set())
    for element in list(rdf.iter()):
        _remove(element, names, _STALE_NAMESPACES if keep_location else (*_STALE_NAMESPACES, _GPS))


def _remove(element: ET.Element, names: set[str], prefixes: tuple[str, ...] = ()) -> None:
    for child in list(element):
        if child.tag in names or (isinstance(child.tag, str) and child.tag.startswith(prefixes)):
            element.remove(child)
    for name in list(element.attrib):
        if name in names or name.startswith(prefixes):
            del element.attrib[name]


def _add(description: ET.Element, name: str, form: str, values: Sequence[str]) -> None:
    element = ET.SubElement(description, _name(name))
    if not form:
        element.text = _xml_text(values[0])
        return
    container = ET.SubElement(element, _name(f"rdf:{form}"))
    for value in values[:1] if form == "Alt" else values:
        item = ET.SubElement(container, _LI, {_LANG: "x-default"} if form == "Alt" else {})
        item.text = _xml_text(value)


def _xml_text(text: str) -> str:
    """`text` without the characters that XML 1.0 cannot hold."""
    return "".join(
        c for c in text if c in "\t\n\r" or (c >= " " and not "\ud800" <= c <= "\udfff" and c not in "\ufffe\uffff")
    )
