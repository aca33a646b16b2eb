"""Drawings of what is no scan at all: photographs, pages, screens, charts, textures."""

import string

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from ladnn.decoys.canvas import Grey, Plane, Rng, Size, fractal, to_grey


def blank(rng: Rng, size: Size) -> Grey:
    """One grey, with a trace of noise at times."""
    plane = np.full(size, rng.uniform(0, 255), dtype=np.float32)
    if rng.random() < 0.5:
        plane += rng.standard_normal(size).astype(np.float32) * rng.uniform(0, 3)
    return to_grey(plane, 0, 255)


def ramp(rng: Rng, size: Size) -> Grey:
    """A linear or radial gradient, in steps at times."""
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    plane = x * np.cos(angle) + y * np.sin(angle)
    if rng.random() < 0.4:
        plane = np.hypot(x - rng.uniform(0, size[1]), y - rng.uniform(0, size[0]))
        plane *= rng.choice([-1.0, 1.0])
    grey = to_grey(plane)
    if rng.random() < 0.3:
        step = int(rng.integers(8, 64))
        grey = (grey // step * step).astype(np.uint8)
    return grey


def noise(rng: Rng, size: Size) -> Grey:
    """White, salt-and-pepper, coarse or blurred noise."""
    plane = rng.standard_normal(size) if rng.random() < 0.5 else rng.random(size)
    if rng.random() < 0.3:
        plane = np.where(plane > np.quantile(plane, rng.uniform(0.3, 0.95)), 1.0, 0.0)
    if rng.random() < 0.5:
        plane = ndimage.gaussian_filter(plane, rng.uniform(0.5, 6))
    return to_grey(plane)


def clouds(rng: Rng, size: Size) -> Grey:
    """Fractal (Perlin-like) noise, folded or thresholded at times."""
    plane = fractal(rng, size, rng.uniform(0.8, 2.6))
    if rng.random() < 0.25:
        plane = np.abs(plane)
    if rng.random() < 0.25:
        plane = np.tanh(plane * 4)
    return to_grey(plane, *np.quantile(plane, [0.01, 0.99]).tolist())


def pattern(rng: Rng, size: Size) -> Grey:
    """A checkerboard, stripes, a grid of dots, waves or rings."""
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    period = rng.uniform(6, 90)
    angle = rng.uniform(0, np.pi) if rng.random() < 0.5 else 0.0
    across = x * np.cos(angle) + y * np.sin(angle)
    along = y * np.cos(angle) - x * np.sin(angle)
    first, second = np.sin(2 * np.pi * across / period), np.sin(2 * np.pi * along / period)
    rings = np.sin(np.hypot(x - size[1] / 2, y - size[0] / 2) * 2 * np.pi / period)
    planes = [np.sign(first * second), np.sign(first), first, first + second, rings]
    planes.append(np.where(first + second > rng.uniform(0.2, 1.6), 1.0, 0.0))
    return to_grey(planes[int(rng.integers(len(planes)))], *sorted(rng.uniform(-2, 2, 2).tolist()))


def colour_chart(rng: Rng, size: Size) -> Grey:
    """A grid of patches with gaps, or bars."""
    ground = int(rng.choice([0, 255, 128]))
    image = Image.new("L", (size[1], size[0]), ground)
    draw = ImageDraw.Draw(image)
    rows, columns = int(rng.integers(1, 9)), int(rng.integers(3, 12))
    gap = rng.uniform(0, 0.15)
    high, wide = size[0] / rows, size[1] / columns
    for row in range(rows):
        for column in range(columns):
            left, top = (column + gap) * wide, (row + gap) * high
            box = (left, top, left + wide * (1 - 2 * gap), top + high * (1 - 2 * gap))
            draw.rectangle(box, fill=int(rng.integers(256)))
    return np.asarray(image)


def _words(rng: Rng, count: int) -> str:
    letters = list(string.ascii_letters + string.digits + "....,,;--")
    words = ["".join(rng.choice(letters, int(rng.integers(1, 10)))) for _ in range(count)]
    return " ".join(words)


def text_page(rng: Rng, size: Size) -> Grey:
    """Lines of letters, dark on bright or bright on dark, turned a little as a scanned page."""
    dark = rng.random() < 0.2
    image = Image.new("L", (size[1], size[0]), 15 if dark else int(rng.integers(190, 256)))
    draw = ImageDraw.Draw(image)
    top = rng.uniform(0, 30)
    while top < size[0]:
        height = float(rng.choice([8, 10, 12, 14, 20, 34], p=[0.2, 0.3, 0.25, 0.1, 0.1, 0.05]))
        font = ImageFont.load_default(height)
        ink = int(rng.integers(180, 256)) if dark else int(rng.integers(0, 90))
        draw.text((rng.uniform(2, 30), top), _words(rng, int(rng.integers(1, 14))), ink, font=font)
        top += height * rng.uniform(1.1, 1.9)
    if rng.random() < 0.5:
        image = image.rotate(rng.uniform(-12, 12), fillcolor=int(rng.integers(256)))
    plane = np.asarray(image, dtype=np.float32)
    if rng.random() < 0.5:  # the shade of a lamp on the page
        plane = plane * (1 + 0.2 * fractal(rng, size, 2.5))
    return to_grey(plane, 0, 255)


def screenshot(rng: Rng, size: Size) -> Grey:
    """Windows with title bars, buttons and text."""
    image = Image.new("L", (size[1], size[0]), int(rng.integers(256)))
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(2, 9))):
        left, top = rng.uniform(-20, size[1] * 0.8), rng.uniform(-20, size[0] * 0.8)
        wide, high = rng.uniform(30, size[1]), rng.uniform(20, size[0])
        face = int(rng.choice([255, 240, 30, 60, int(rng.integers(256))]))
        draw.rectangle((left, top, left + wide, top + high), fill=face, outline=255 - face)
        bar = int(rng.integers(256))
        draw.rectangle((left, top, left + wide, top + 14), fill=bar)
        draw.text((left + 3, top + 1), _words(rng, 2), 0 if bar > 128 else 255)
        for line in range(int(rng.integers(0, 12))):
            ink = 20 if face > 128 else 220
            draw.text((left + 6, top + 20 + 13 * line), _words(rng, int(rng.integers(1, 7))), ink)
    return np.asarray(image)


def plot(rng: Rng, size: Size) -> Grey:
    """Axes with curves, bars or points; an ECG is one of them."""
    dark = rng.random() < 0.25
    image = Image.new("L", (size[1], size[0]), 10 if dark else 250)
    draw = ImageDraw.Draw(image)
    ink = 240 if dark else 10
    left, bottom = 0.12 * size[1], 0.88 * size[0]
    draw.line((left, 10, left, bottom, size[1] - 8, bottom), fill=ink, width=2)
    x = np.linspace(left, size[1] - 8, 120)
    for _ in range(int(rng.integers(1, 5))):
        walk = np.cumsum(rng.standard_normal(120)) * rng.choice([0.2, 1.0, 3.0])
        y = np.clip(rng.uniform(0.2, 0.8) * size[0] + walk * 4, 8, bottom)
        shade = int(rng.integers(0, 256))
        if rng.random() < 0.3:
            for a, b in zip(x[::8], y[::8], strict=True):
                draw.rectangle((a, min(b, bottom - 1), a + 6, bottom), fill=shade)
        else:
            draw.line(list(zip(x.tolist(), y.tolist(), strict=True)), fill=shade, width=2)
    draw.text((size[1] / 3, size[0] - 14), _words(rng, 3), ink)
    return np.asarray(image)


def cartoon(rng: Rng, size: Size) -> Grey:
    """Flat shapes with outlines: logos, icons, children's drawings."""
    image = Image.new("L", (size[1], size[0]), int(rng.choice([255, 255, 0, 200])))
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(1, 14))):
        fill, line = int(rng.integers(256)), int(rng.choice([0, 0, 255]))
        x, y = rng.uniform(0, size[1]), rng.uniform(0, size[0])
        r = rng.uniform(0.04, 0.5) * min(size)
        points = (np.array([x, y]) + r * rng.uniform(-1, 1, (int(rng.integers(3, 8)), 2))).tolist()
        shape = int(rng.integers(5))
        if shape == 0:
            draw.ellipse((x - r, y - r * 0.8, x + r, y + r * 0.8), fill, line, 3)
        elif shape == 1:
            draw.polygon([tuple(p) for p in points], fill, line)
        elif shape == 2:
            draw.line([tuple(p) for p in points], line, int(rng.integers(1, 9)), "curve")
        elif shape == 3:
            draw.rounded_rectangle((x - r, y - r, x + r, y + r), r / 4, fill, line, 3)
        else:
            draw.text((x - r, y - r), _words(rng, 1), fill, font=ImageFont.load_default(r + 8))
    return np.asarray(image)


def diagram(rng: Rng, size: Size) -> Grey:
    """A chest as a textbook outlines it: two flat ovals, mostly in a flat body, hardly a detail."""
    tones = rng.choice([0, 255, *rng.integers(0, 256, 6)], 6)
    if rng.random() < 0.6:  # air is dark
        tones[1], tones[2] = rng.integers(110, 256), rng.integers(0, 90)
    image = Image.new("L", (size[1], size[0]), int(tones[0]))
    draw = ImageDraw.Draw(image)
    x, y, line = size[1] / 2, size[0] / 2, int(rng.choice([0, 0, 2, 5]))

    def oval(centre: float, down: float, wide: float, high: float, tone: int) -> None:
        box = (x + centre - wide, y + down - high, x + centre + wide, y + down + high)
        draw.ellipse(box, int(tones[tone]), int(tones[5]), line)

    wide, high = rng.uniform(0.6, 0.98) * x, rng.uniform(0.5, 0.98) * y
    if rng.random() < 0.75:
        oval(0, 0, wide, high, 1)
    apart, lower = rng.uniform(0.35, 0.55) * wide, rng.uniform(-0.15, 0.15) * high
    lung = rng.uniform(0.2, 0.42) * wide, rng.uniform(0.4, 0.8) * high
    for side in (-1, 1):
        oval(side * apart, lower, lung[0] * rng.uniform(0.9, 1.1), lung[1], 2)
        for _ in range(int(rng.integers(0, 3))):  # a spot
            spot = rng.uniform(0.03, 0.12) * wide
            oval(side * apart, lower + rng.uniform(-0.5, 0.5) * lung[1], spot, spot, 3)
    if rng.random() < 0.4:
        oval(rng.uniform(-0.1, 0.2) * wide, lower, 0.2 * wide, 0.25 * high, 4)
    if rng.random() < 0.4:
        oval(0, 0.8 * high, 0.1 * wide, 0.12 * high, 4)
    plane = np.asarray(image, dtype=np.float32) + rng.choice([0, 0, 3]) * rng.standard_normal(size)
    return to_grey(plane, 0, 255)


def code_print(rng: Rng, size: Size) -> Grey:
    """A bar code or a two-dimensional code."""
    cells = int(rng.integers(15, 60))
    bits = rng.random((cells, cells)) < 0.5
    if rng.random() < 0.4:
        bits[:] = bits[:1]
    plane = np.where(bits, 0, 255).astype(np.uint8)
    plane = np.pad(plane, int(rng.integers(0, 6)), constant_values=255)
    return np.asarray(Image.fromarray(plane).resize((size[1], size[0]), Image.Resampling.NEAREST))


def _surface(rng: Rng, size: Size) -> Plane:
    """A lit surface: shade, texture and grain."""
    tone, contrast = rng.uniform(20, 235), rng.uniform(2, 35)
    texture = contrast * fractal(rng, size, rng.uniform(0.4, 2.0))
    return np.asarray(tone + texture + rng.uniform(0, 30) * fractal(rng, size, 2.5), np.float32)


def objects(rng: Rng, size: Size) -> Grey:
    """A photograph by the dead-leaves model: textured things that hide each other, all sizes."""
    plane = _surface(rng, size)
    surfaces = [_surface(rng, size) for _ in range(6)]
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    for leaf in range(int(rng.integers(5, 60))):
        radius = min(size) * min(0.6, 0.03 / rng.uniform(0.02, 1) ** 0.9)
        dx, dy = x - rng.uniform(0, size[1]), y - rng.uniform(0, size[0])
        angle, ratio = rng.uniform(0, np.pi), rng.uniform(0.3, 1)
        along = dx * np.cos(angle) + dy * np.sin(angle)
        across = (dy * np.cos(angle) - dx * np.sin(angle)) / ratio
        box = rng.random() < 0.4
        distance = np.maximum(abs(along), abs(across)) if box else np.hypot(along, across)
        inside = distance < radius
        shade = rng.uniform(-80, 80) + rng.uniform(-40, 40) * along / radius
        plane = np.where(inside, surfaces[leaf % 6] + shade, plane)
    return to_grey(ndimage.gaussian_filter(plane, rng.uniform(0.3, 1.2)), 0, 255)


def landscape(rng: Rng, size: Size) -> Grey:
    """Sky over ridges, with trunks or towers in front."""
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    plane = rng.uniform(100, 250) - y * rng.uniform(-0.2, 0.4) + 12 * fractal(rng, size, 1.8)
    for level in np.sort(rng.uniform(0.2, 1, int(rng.integers(1, 5)))):
        ridge = level * size[0] + 0.08 * size[0] * fractal(rng, size, 1.6)[:1]
        plane = np.where(y > ridge, _surface(rng, size), plane)
    for _ in range(int(rng.integers(0, 8))):
        left, wide = rng.uniform(0, size[1]), rng.uniform(2, size[1] / 5)
        tall = (x > left) & (x < left + wide) & (y > rng.uniform(0, 0.8) * size[0])
        plane = np.where(tall, _surface(rng, size), plane)
    return to_grey(plane, 0, 255)


def portrait(rng: Rng, size: Size) -> Grey:
    """A head with eyes, mouth and hair above shoulders, or an animal's."""
    plane = _surface(rng, size)
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    unit = min(size) * rng.uniform(0.25, 0.5)
    x = (x - size[1] * rng.uniform(0.35, 0.65)) / unit + 0.04 * fractal(rng, size, 2)
    y = (y - size[0] * rng.uniform(0.35, 0.55)) / unit + 0.04 * fractal(rng, size, 2)
    skin = rng.uniform(70, 220)
    plane = np.where(np.hypot(x / 1.6, y - 2.1) < 1.2, _surface(rng, size), plane)
    plane = np.where(np.hypot(x / 0.85, y + 0.15) < 1.02, _surface(rng, size) * 0.6, plane)
    light = skin * (1 + rng.uniform(-0.3, 0.3) * x) + 5 * fractal(rng, size, 1.2)
    plane = np.where(np.hypot(x / 0.7, y) < 0.95, light, plane)
    for side in (-1, 1):
        eye = np.hypot((x - side * 0.3) / 0.13, (y + 0.15) / 0.07)
        plane = np.where(eye < 1, 230, plane)
        plane = np.where(np.hypot(x - side * 0.3, y + 0.15) < 0.06, 20, plane)
    plane = np.where(np.hypot(x / 0.28, (y - 0.5) / 0.08) < 1, skin * 0.5, plane)
    return to_grey(ndimage.gaussian_filter(plane, rng.uniform(0.4, 2)), 0, 255)


def silhouette(rng: Rng, size: Size) -> Grey:
    """Dark figures before a bright ground, or bright before dark: people, animals, trees."""
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    figure = np.zeros(size, dtype=bool)
    unit = min(size) / 2
    for _ in range(int(rng.integers(1, 4))):
        centre = rng.uniform(0.2, 0.8, 2) * size
        for _ in range(int(rng.integers(2, 9))):
            dy, dx = y - centre[0], x - centre[1]
            angle = rng.uniform(0, np.pi)
            along = dx * np.cos(angle) + dy * np.sin(angle) + 4 * fractal(rng, size, 2)
            across = dy * np.cos(angle) - dx * np.sin(angle)
            long, thin = unit * rng.uniform(0.2, 0.8), unit * rng.uniform(0.03, 0.3)
            figure |= np.hypot(along / long, across / thin) < 1
            centre = centre + rng.uniform(-0.5, 0.5, 2) * unit
    ground = rng.uniform(130, 230) + rng.uniform(-0.3, 0.3) * y + 8 * fractal(rng, size, 1.8)
    floor = y > size[0] * rng.uniform(0.5, 1.2)
    ground = np.where(floor, rng.uniform(80, 180) + 15 * fractal(rng, size, 0.8), ground)
    inside = rng.uniform(5, 70) + rng.uniform(1, 15) * fractal(rng, size, 1.0)
    plane = ndimage.gaussian_filter(np.where(figure, inside, ground), rng.uniform(0.3, 1.5))
    return to_grey(255 - plane if rng.random() < 0.2 else plane, 0, 255)


def emblem(rng: Rng, size: Size) -> Grey:
    """A badge: a disc, shield or polygon with rings, sectors, bands or a figure, and a word."""
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    x = (x - size[1] / 2) / min(size) * 2
    y = (y - size[0] / 2) / min(size) * 2
    angle = np.arctan2(y, x) + rng.uniform(0, np.pi)
    sides = int(rng.integers(3, 9))
    distance = np.hypot(x, y) / rng.uniform(0.5, 0.98)
    if rng.random() < 0.6:
        distance *= np.cos(np.mod(angle, 2 * np.pi / sides) - np.pi / sides)
    sectors = np.floor(angle * sides / np.pi)
    bands = np.floor((x * np.cos(angle[0, 0]) + y) * rng.uniform(2, 9))
    star = np.where(distance < 0.5 + 0.3 * np.cos(sides * angle), 1, 0)
    inside = (sectors, bands, np.floor(distance * rng.uniform(2, 7)), star)[int(rng.integers(4))]
    tones = rng.uniform(0, 255, 64)
    plane = tones[np.mod(inside, rng.integers(2, 5)).astype(int)]
    plane = np.where(np.abs(distance - 0.93) < rng.uniform(0, 0.07), tones[9], plane)
    plane = np.where(distance < 1, plane, rng.choice([0.0, 255.0, 255.0]))
    image = Image.fromarray(to_grey(plane, 0, 255))
    if rng.random() < 0.5:
        font = ImageFont.load_default(float(rng.uniform(10, 50)))
        where = image.width * rng.uniform(0.1, 0.5), image.height * rng.uniform(0.2, 0.7)
        ImageDraw.Draw(image).text(where, _words(rng, 1), int(rng.integers(256)), font=font)
    return np.asarray(image)


def night_sky(rng: Rng, size: Size) -> Grey:
    """Points and smudges of light on black."""
    plane = rng.uniform(0, 25) + np.zeros(size, dtype=np.float32)
    for blur in (0.6, 1.2, 3.0):
        stars = np.where(rng.random(size) < rng.uniform(0.0002, 0.004), 1.0, 0.0)
        plane += ndimage.gaussian_filter(stars, blur) * rng.uniform(200, 1500) * blur**2
    return to_grey(plane + 6 * fractal(rng, size, 1.5), 0, 255)


def discs(rng: Rng, size: Size) -> Grey:
    """Round things on a ground: coins, cells, pills, balls."""
    plane = _surface(rng, size)
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    radius = min(size) * rng.uniform(0.04, 0.25)
    surface = _surface(rng, size)
    for _ in range(int(rng.integers(1, 30))):
        r = radius * rng.uniform(0.7, 1.3)
        distance = np.hypot(x - rng.uniform(0, size[1]), y - rng.uniform(0, size[0])) / r
        face = surface + 30 * np.sin(distance * rng.uniform(1, 9))
        plane = np.where(distance < 1, face, plane)
        plane = np.where(abs(distance - 1) < 0.06, plane * rng.uniform(0.3, 1.5), plane)
    return to_grey(plane, 0, 255)


def histology(rng: Rng, size: Size) -> Grey:
    """Stained tissue: a pale mottled ground with many dark nuclei and white gaps."""
    plane = rng.uniform(130, 220) + rng.uniform(5, 25) * fractal(rng, size, 1.2)
    nuclei = ndimage.gaussian_filter(rng.standard_normal(size), rng.uniform(1.2, 5))
    plane = np.where(
        nuclei > np.quantile(nuclei, rng.uniform(0.8, 0.96)), rng.uniform(40, 120), plane
    )
    gaps = fractal(rng, size, 1.8)
    plane = np.where(gaps > rng.uniform(0.8, 2.5), 240, plane)
    return to_grey(ndimage.gaussian_filter(plane, rng.uniform(0.4, 1)), 0, 255)


def weave(rng: Rng, size: Size) -> Grey:
    """Bricks, cloth, grass, gravel: a texture that fills the picture."""
    stretch = rng.uniform(1, 6, 2)
    grain = ndimage.gaussian_filter(rng.standard_normal(size), (stretch[0], stretch[1]))
    plane = grain / grain.std() + rng.uniform(0, 1) * fractal(rng, size, 1.0)
    if rng.random() < 0.5:
        y, x = np.mgrid[: size[0], : size[1]]
        high, wide = rng.integers(8, 50, 2)
        shift = (y // high % 2) * (wide // 2)
        mortar = (y % high < 3) | ((x + shift) % wide < 3)
        plane = np.where(mortar, rng.uniform(-4, 4), plane)
    return to_grey(plane, -3, 3)
