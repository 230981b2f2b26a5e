"""The pictures of the stack that the browser looks at."""

import io
from pathlib import Path

from PIL import Image, ImageDraw

from infra.local.images import Upload, samples

FOLDERS = {
    "astronaut": "people",
    "camera": "people",
    "chelsea": "animals",
    "coffee": "still",
    "coins": "still",
    "clock_motion": "still",
    "rocket": "space",
    "hubble_deep_field": "space",
}
DUPLICATE = "animals/chelsea-small.jpg"
BROKEN = "notes/broken.jpg"
HOSTILE = "notes/<img src=x onerror=alert(1)>.png"
SHAPES = 120


def photos(folder: Path) -> list[Upload]:
    """The sample photos in folders, a smaller copy of one, a broken file, a hostile name, and many drawings."""
    uploads = [Upload(f"{FOLDERS.get(each.path.stem, 'textures')}/{each.path.name}", each.path) for each in samples()]
    chelsea = next(each.path for each in uploads if each.path.stem == "chelsea")
    with Image.open(chelsea) as image:
        uploads.append(_saved(folder / "chelsea-small.jpg", DUPLICATE, jpeg(image.resize((400, 266)))))
    uploads.append(_saved(folder / "broken.jpg", BROKEN, b"this is no picture"))
    uploads.append(_saved(folder / "hostile.png", HOSTILE, drawing(997)))
    shapes = [_saved(folder / f"{n}.jpg", f"zz-shapes/{n:03}.jpg", drawing(n)) for n in range(SHAPES)]
    return uploads + shapes


def _saved(path: Path, key: str, data: bytes) -> Upload:
    path.write_bytes(data)
    return Upload(key, path)


def drawing(seed: int) -> bytes:
    """A drawing of shapes and colours that depend on a number, as JPEG."""
    width, height = 240 + seed * 37 % 160, 200 + seed * 53 % 140
    image = Image.new("RGB", (width, height), _colour(seed))
    draw = ImageDraw.Draw(image)
    for number in range(3 + seed % 5):
        left, top = (seed * 31 + number * 67) % width, (seed * 17 + number * 43) % height
        box = (left, top, left + 40 + seed % 50, top + 40 + seed * 7 % 60)
        (draw.ellipse if (seed + number) % 2 else draw.rectangle)(box, fill=_colour(seed * 5 + number * 3 + 1))
    return jpeg(image)


def _colour(seed: int) -> tuple[int, int, int]:
    return (seed * 67 % 256, seed * 131 % 256, seed * 199 % 256)


def jpeg(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.convert("RGB").save(out, "JPEG", quality=90)
    return out.getvalue()


def noise(side: int) -> bytes:
    """A PNG that is larger than a request may be."""
    out = io.BytesIO()
    Image.effect_noise((side, side), 80).convert("RGB").save(out, "PNG")
    return out.getvalue()
