"""Published curves, drawn with ours as gain over grey. They are of another test set, and their label says so."""

from __future__ import annotations

# Zhang et al. 2017, the authors' own stored results: 1,000 ImageNet test photographs, grey 22.82 dB.
# Points → mean PSNR in dB.
OFFICIAL_GREY_DB = 22.82
OFFICIAL_DB = {
    0: 24.435, 1: 25.373, 2: 26.198, 3: 26.690, 4: 27.084, 5: 27.389, 6: 27.649, 8: 28.102, 10: 28.423, 13: 28.792,
    16: 29.042, 20: 29.340, 25: 29.598, 32: 29.906, 40: 30.175, 50: 30.422, 63: 30.676, 79: 30.901, 100: 31.125,
    126: 31.336, 158: 31.521, 200: 31.698, 251: 31.851, 316: 31.972, 398: 32.073, 501: 32.139,
}  # fmt: skip
OFFICIAL_LABEL = "Zhang et al. 2017, their 1,000 ImageNet photographs (another test set)"


def official_gain() -> dict[int, float]:
    """Points → gain over grey in dB of the paper's network, protocol zhang17."""
    return {points: psnr - OFFICIAL_GREY_DB for points, psnr in OFFICIAL_DB.items()}
