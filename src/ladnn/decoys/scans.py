"""Drawings of scans that are no axial chest CT: other parts, other directions, other machines."""

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from ladnn.decoys.canvas import Grey, Plane, Rng, Scene, Size, fractal, jitter, scan, to_grey

AIR, FAT, SOFT, BONE = -1000.0, -90.0, 40.0, 700.0
_WINDOWS = ((40.0, 80.0), (40.0, 350.0), (50.0, 400.0), (400.0, 1800.0), (-600.0, 1500.0))
_FULL_RANGE = (0.0, 3000.0)


def _window(rng: Rng, plane: Plane) -> Grey:
    level, width = (*_WINDOWS, _FULL_RANGE)[int(rng.integers(len(_WINDOWS) + 1))]
    return scan(rng, plane, level + rng.uniform(-0.1, 0.1) * width, width * rng.uniform(0.8, 1.3))


def _table(scene: Scene) -> None:
    rng = scene.rng
    if rng.random() < 0.6:
        curve = scene.y - rng.uniform(0.7, 0.9) + rng.uniform(0, 0.3) * scene.x**2
        scene.plane[(np.abs(curve) < 0.015) & (np.abs(scene.x) < 0.8)] = rng.uniform(-600, 200)


def ct_head(rng: Rng, size: Size) -> Grey:
    """Axial head: skull, brain with folds and ventricles, or the level of the sinuses."""
    scene = Scene(rng, size, wobble=0.03, ground=AIR)
    _table(scene)
    wide, high = jitter(rng, 0.62, 0.12), jitter(rng, 0.76, 0.12)
    skull = jitter(rng, 0.91, 0.02)
    scene.ellipse((0, 0), (wide * 1.06, high * 1.05), FAT)
    scene.ellipse((0, 0), (wide, high), jitter(rng, BONE + 300))
    folds = SOFT - 8 + 5 * np.tanh(3 * fractal(rng, size, 1.3))
    brain = scene.distance((0, 0), (wide * skull, high * skull)) < 1
    scene.plane = np.where(brain, folds, scene.plane).astype(np.float32)
    if rng.random() < 0.65:
        for side in (-1, 1):
            centre = side * jitter(rng, 0.1), rng.uniform(-0.15, 0.1)
            radii = jitter(rng, 0.06, 0.3), jitter(rng, 0.22, 0.3)
            scene.ellipse(centre, radii, 8, angle=-side * rng.uniform(0.1, 0.5))
        if rng.random() < 0.4:
            scene.ellipse((rng.uniform(-0.4, 0.4), rng.uniform(-0.4, 0.4)), (0.15, 0.12), 70)
    else:
        for side in (-1, 1):
            scene.ellipse((side * 0.25, -0.45), (jitter(rng, 0.14), jitter(rng, 0.14)), AIR)
            scene.ellipse((side * 0.38, 0.2), (0.15, 0.12), jitter(rng, BONE))
        scene.ellipse((0, -0.4), (0.07, 0.25), AIR)
    return _window(rng, scene.plane)


def ct_skull_base(rng: Rng, size: Size) -> Grey:
    """Axial head lower down: jagged bone, air cells of mastoids and sinuses, flesh behind."""
    scene = Scene(rng, size, wobble=0.06, ground=AIR)
    wide, high = jitter(rng, 0.6, 0.1), jitter(rng, 0.74, 0.08)
    scene.ellipse((0, 0), (wide, high), FAT)
    scene.ellipse((0, 0.03), (wide * 0.92, high * 0.92), SOFT)
    scene.ellipse((0, 0.1), (wide * 0.8, high * 0.75), BONE + 300, inner=rng.uniform(0.82, 0.9))
    ragged = fractal(rng, size, 1.1)
    for side in (-1, 1):
        ear = scene.distance((side * wide * 0.65, 0.12), (0.16, 0.12), side * 0.6) < 1
        scene.plane[ear] = np.where(ragged[ear] > 0.2, AIR, BONE + 400)
        scene.ellipse((side * wide * 0.4, 0.0), (0.16, 0.05), BONE + 500, angle=-side * 0.7)
        if rng.random() < 0.7:
            sinus = side * wide * 0.4, -high * 0.55
            scene.ellipse(sinus, (jitter(rng, 0.15, 0.3), jitter(rng, 0.12, 0.3)), BONE)
            scene.ellipse(sinus, (jitter(rng, 0.13, 0.3), jitter(rng, 0.1, 0.3)), AIR)
    nose = scene.distance((0, -high * 0.55), (0.1, 0.2)) < 1
    scene.plane[nose] = np.where(ragged[nose] > 0, AIR, SOFT)
    if rng.random() < 0.5:
        scene.plane[np.hypot(scene.x, scene.y) > rng.uniform(0.8, 1.0)] = -3000
    return _window(rng, scene.plane)


def _trunk(scene: Scene, wide: float, high: float) -> None:
    """Skin, fat, muscle and spine of an axial slice."""
    rng = scene.rng
    fat = rng.uniform(0.03, 0.2)
    scene.ellipse((0, 0), (wide, high), FAT)
    scene.ellipse((0, 0.02), (wide * (1 - fat), high * (1 - fat)), SOFT)
    scene.ellipse((0, high * 0.5), (0.13, 0.11), jitter(rng, 300))
    scene.ellipse((0, high * 0.68), (0.05, 0.12), jitter(rng, 450))


def ct_abdomen(rng: Rng, size: Size) -> Grey:
    """Axial abdomen: liver, spleen, kidneys, vessels, bowel with some gas; no lung."""
    return _window(rng, _abdomen(rng, size))


def _abdomen(rng: Rng, size: Size) -> Plane:
    scene = Scene(rng, size, wobble=0.06, ground=AIR)
    _table(scene)
    wide, high = jitter(rng, 0.85, 0.08), jitter(rng, 0.62, 0.1)
    _trunk(scene, wide, high)
    scene.ellipse((0, -0.02), (wide * 0.78, high * 0.72), FAT + 20)
    contrast = rng.uniform(0, 120)
    if rng.random() < 0.7:
        scene.ellipse((-0.38 * wide / 0.85, -0.08), (0.42, 0.42), 60 + contrast * 0.6, angle=0.3)
        scene.ellipse((0.5, 0.05), (0.16, 0.24), 55 + contrast * 0.7, angle=0.3)
    for side in (-1, 1):
        scene.ellipse((side * 0.33, 0.2), (0.12, 0.17), 35 + contrast, angle=side * 0.3)
    scene.ellipse((0.05, 0.13), (0.06, 0.06), 45 + contrast * 1.3)
    scene.ellipse((-0.08, 0.12), (0.06, 0.05), 45 + contrast)
    for _ in range(int(rng.integers(2, 18))):
        centre = rng.uniform(-0.55, 0.6), rng.uniform(-0.42, 0.1)
        radius = rng.uniform(0.04, 0.14)
        scene.ellipse(centre, (radius, radius * rng.uniform(0.6, 1.2)), jitter(rng, SOFT))
        if rng.random() < 0.4:
            gas = radius * rng.uniform(0.3, 0.8)
            scene.ellipse((centre[0], centre[1] - radius * 0.2), (gas, gas), AIR)
    scene.ellipse((0, high * 0.5), (0.13, 0.11), jitter(rng, 300))
    return scene.plane


def ct_pelvis(rng: Rng, size: Size) -> Grey:
    """Axial pelvis: hip bones, sacrum, bladder, rectum."""
    scene = Scene(rng, size, wobble=0.05, ground=AIR)
    _table(scene)
    _trunk(scene, jitter(rng, 0.88, 0.06), jitter(rng, 0.55, 0.08))
    for side in (-1, 1):
        angle = side * rng.uniform(0.2, 0.8)
        scene.ellipse((side * 0.5, 0.02), (0.12, 0.28), jitter(rng, BONE), angle=angle, inner=0.65)
        scene.ellipse(
            (side * 0.62, 0.1), (0.12, 0.12), jitter(rng, BONE), inner=rng.uniform(0, 0.8)
        )
    scene.ellipse((0, -0.12), (jitter(rng, 0.22), jitter(rng, 0.16)), rng.uniform(0, 200))
    scene.ellipse((0, 0.2), (0.09, 0.08), rng.choice([AIR, SOFT]))
    return _window(rng, scene.plane)


def ct_limbs(rng: Rng, size: Size) -> Grey:
    """Axial thighs, shins or arms: one or two round limbs with bone inside."""
    scene = Scene(rng, size, wobble=0.05, ground=AIR)
    _table(scene)
    sides = (-1, 1) if rng.random() < 0.6 else (0,)
    radius = jitter(rng, 0.4, 0.1)
    for side in sides:
        x = side * 0.46
        scene.ellipse((x, 0), (radius, radius * 1.1), FAT)
        scene.ellipse((x, 0), (radius * 0.8, radius * 0.9), SOFT)
        bone = radius * rng.uniform(0.15, 0.4)
        scene.ellipse((x, 0.02), (bone, bone), BONE + 400, inner=rng.uniform(0, 0.7))
        if rng.random() < 0.3:
            scene.ellipse((x + 0.15, 0.12), (bone / 2, bone / 2), BONE)
    return _window(rng, scene.plane)


def ct_neck(rng: Rng, size: Size) -> Grey:
    """Axial neck: windpipe, vessels, vertebra, jaw at times; no lung."""
    scene = Scene(rng, size, wobble=0.05, ground=AIR)
    _table(scene)
    radius = jitter(rng, 0.5, 0.12)
    scene.ellipse((0, 0), (radius, radius * rng.uniform(0.8, 1.1)), FAT)
    scene.ellipse((0, 0), (radius * 0.88, radius * 0.88), SOFT)
    scene.ellipse((0, radius * 0.3), (0.13, 0.1), BONE)
    scene.ellipse((0, -radius * 0.35), (0.07, jitter(rng, 0.08)), AIR)
    for side in (-1, 1):
        scene.ellipse((side * 0.2, -0.05), (0.05, 0.05), rng.uniform(40, 200))
    if rng.random() < 0.4:
        jaw = (scene.distance((0, -0.1), (0.35, 0.4)) - 0.95) ** 2 < 0.004
        scene.plane[jaw & (scene.y < 0)] = BONE + 500
    return _window(rng, scene.plane)


def _ribs(scene: Scene, strength: float) -> Plane:
    """Curved bands across the chest, as an X-ray shows them."""
    rng = scene.rng
    pitch, bend = rng.uniform(0.14, 0.2), rng.uniform(0.3, 0.8)
    back = np.cos(2 * np.pi * (scene.y - bend * (0.6 - np.abs(scene.x)) ** 2) / pitch)
    front = np.cos(2 * np.pi * (scene.y - bend * np.abs(scene.x)) / (pitch * 1.1))
    bands = np.clip(back, 0.3, 1) + 0.6 * np.clip(front, 0.4, 1)
    return np.asarray(strength * bands, dtype=np.float32)


def xray_chest(rng: Rng, size: Size) -> Grey:
    """Chest radiograph from the front: two dark lungs, bright heart, spine and diaphragm, ribs."""
    scene = Scene(rng, size, wobble=0.04)
    wide, high = jitter(rng, 0.8, 0.08), jitter(rng, 1.5, 0.1)
    depth = 1.5 * scene.chord((0, 0.5), (wide, high))
    for side in (-1, 1):
        centre = side * jitter(rng, 0.38, 0.07), jitter(rng, -0.05, 0.5)
        radii = jitter(rng, 0.29, 0.08), jitter(rng, 0.62, 0.1)
        lung = scene.chord(centre, radii, angle=-side * rng.uniform(0, 0.15)) ** 0.5
        dome = scene.y < rng.uniform(0.35, 0.6) + 0.8 * (np.abs(scene.x) - 0.4) ** 2
        depth -= rng.uniform(0.7, 1.1) * lung * dome
        shoulder = scene.chord((side * 0.75, -0.75), (0.35, 0.3))
        depth += 0.5 * shoulder
        collar = np.abs(scene.y + 0.62 + 0.15 * (np.abs(scene.x) - 0.1)) < 0.035
        depth += 0.12 * collar * (scene.x * side > 0.06)
    depth += rng.uniform(0.3, 0.7) * scene.chord((0.12, 0.22), (jitter(rng, 0.3), 0.3), 0.6)
    depth += rng.uniform(0.2, 0.5) * scene.chord((0, 0), (0.12, 3))
    thorax = scene.distance((0, 0.1), (wide * 0.92, 0.9)) < 1
    depth += _ribs(scene, rng.uniform(0.02, 0.12)) * thorax
    depth += 0.02 * fractal(rng, size, 1.0) * thorax
    if rng.random() < 0.6:  # markings of vessels, and opacities at times
        branches = np.exp(-np.abs(fractal(rng, size, 1.5)) * rng.uniform(5, 20))
        depth += rng.uniform(0.03, 0.15) * branches * thorax * np.exp(-3 * scene.x**2)
        depth += rng.uniform(0, 0.3) * np.clip(fractal(rng, size, 1.8), 0, 2) * thorax
    depth = ndimage.gaussian_filter(depth, rng.uniform(0.3, 2.5))
    film = to_grey(depth, rng.uniform(-0.2, 0.3), rng.uniform(1.3, 2.2))
    return 255 - film if rng.random() < 0.12 else film


def xray_close(rng: Rng, size: Size) -> Grey:
    """Chest radiograph that fills its film: flesh to the edges, spine, ribs across both lungs."""
    scene = Scene(rng, size, wobble=rng.uniform(0, 0.03))
    wide, high = size[1] / max(size), size[0] / max(size)
    apart, top = jitter(rng, 0.44, 0.1) * wide, rng.uniform(-0.2, 0.1) * high
    depth = rng.uniform(0.8, 1.3) + rng.uniform(0, 0.08) * fractal(rng, size, 1.8)
    depth += rng.uniform(0.2, 0.7) * scene.chord((0, top), (wide, 1.2 * high))
    for side in (-1, 1):
        radii = jitter(rng, 0.33, 0.15) * wide, jitter(rng, 0.62, 0.15) * high
        lung = scene.distance((side * apart, top), radii, angle=-side * rng.uniform(0, 0.12))
        depth -= rng.uniform(0.6, 1.2) * np.clip((1 - lung) * rng.uniform(2, 12), 0, 1)
    depth += _arches(scene, (wide, high)) * rng.uniform(0.04, 0.35)
    spine = np.exp(-((scene.x / (rng.uniform(0.06, 0.16) * wide)) ** 2))
    depth += rng.uniform(0.3, 1.2) * spine
    if rng.random() < 0.7:
        heart = (0.12 * wide, 0.3 * high), (jitter(rng, 0.3) * wide, jitter(rng, 0.3) * high)
        depth += rng.uniform(0.2, 0.8) * scene.chord(*heart, 0.6)
    if rng.random() < 0.6:
        dome = top + rng.uniform(0.4, 0.75) * high + 0.5 * (np.abs(scene.x) - apart) ** 2
        depth += rng.uniform(0.3, 1.0) * np.clip((scene.y - dome) * 20, 0, 1)
    depth = ndimage.gaussian_filter(depth, rng.uniform(0.3, 3.0))
    depth += rng.uniform(0, 0.04) * rng.standard_normal(size)
    film = to_grey(depth, rng.uniform(-0.4, 0.4), rng.uniform(1.4, 2.6))
    if rng.random() < 0.4:  # the marker of lead that tells the sides apart
        edge = max(8, int(min(size) * rng.uniform(0.05, 0.2)))
        film[:edge, : 2 * edge] = rng.choice([0, 20, 255])
    return 255 - film if rng.random() < 0.1 else film


def _arches(scene: Scene, half: tuple[float, float]) -> Plane:
    """Ribs one by one, as thin arches that hang from the spine to both sides, in [0, 1]."""
    rng = scene.rng
    pitch, bend = rng.uniform(0.12, 0.25) * half[1], rng.uniform(-0.4, 0.8)
    low, thick = rng.uniform(0.3, 0.9) * half[1], rng.uniform(0.15, 0.4)
    height = scene.y - bend * np.abs(scene.x) ** rng.uniform(1, 2)
    band = np.abs(np.mod(height / pitch, 1) - 0.5) < thick / 2
    inside = (np.abs(scene.x) < rng.uniform(0.7, 0.95) * half[0]) & (np.abs(scene.y) < low)
    return np.asarray(ndimage.gaussian_filter((band & inside) * 1.0, 0.8), dtype=np.float32)


def xray_lateral(rng: Rng, size: Size) -> Grey:
    """Chest or spine radiograph from the side."""
    scene = Scene(rng, size, wobble=0.05)
    depth = 1.2 * scene.chord((0, 0.3), (jitter(rng, 0.7), 1.4))
    depth -= rng.uniform(0, 0.9) * scene.chord((0.0, -0.1), (0.45, 0.6), 0.2)
    depth += 0.5 * scene.chord((-0.1, 0.25), (0.3, 0.35))
    for step in np.arange(-1.0, 1.0, rng.uniform(0.13, 0.2)):
        depth += 0.35 * (scene.distance((0.42 + 0.1 * np.cos(2 * step), step), (0.11, 0.07)) < 1)
    return to_grey(depth + 0.02 * fractal(rng, size, 1.0), 0.0, rng.uniform(1.2, 2.2))


def xray_bones(rng: Rng, size: Size) -> Grey:
    """Radiograph of a hand, a limb, a joint or teeth: bright bones in grey flesh on black."""
    scene = Scene(rng, size, wobble=0.03)
    depth = np.zeros(size, dtype=np.float32)
    count = int(rng.integers(1, 7))
    spread = rng.uniform(0.05, 0.3)
    for k in range(count):
        x = (k - (count - 1) / 2) * 1.5 / max(count, 2)
        angle, top = -x * spread, rng.uniform(-1, -0.3)
        for joint in range(int(rng.integers(1, 5))):
            length = rng.uniform(0.25, 0.8)
            centre = (x - np.sin(angle) * top, top + length / 2)
            radius = rng.uniform(0.05, 0.3) / count**0.5
            depth += 0.5 * scene.chord(centre, (radius * 2.2, length * 0.8), angle)
            bone = scene.chord(centre, (radius, length / 2), angle)
            depth += rng.uniform(0.6, 1) * np.where(bone > 0, 0.5 + 0.5 * (1 - bone), 0)
            top += length * 1.02 + joint * 0.01
    return to_grey(depth + 0.01 * fractal(rng, size, 1.0), 0.0, jitter(rng, 1.6))


def xray_belly(rng: Rng, size: Size) -> Grey:
    """Radiograph of abdomen or pelvis: spine, hip bones, mottled bowel gas."""
    scene = Scene(rng, size, wobble=0.05)
    depth = 1.2 * scene.chord((0, 0), (jitter(rng, 0.9), 1.6))
    depth += 0.4 * scene.chord((0, -0.2), (0.13, 2)) * (scene.y < 0.5)
    for side in (-1, 1):
        hip = scene.distance((side * 0.45, 0.45), (0.35, 0.33), side * 0.5)
        depth += 0.3 * (hip < 1) * (hip > rng.uniform(0, 0.6))
    gas = fractal(rng, size, 1.6) > rng.uniform(0.8, 2)
    depth -= 0.3 * ndimage.gaussian_filter(gas.astype(np.float32), 3)
    return to_grey(depth + 0.02 * fractal(rng, size, 1.0), 0.1, jitter(rng, 1.8))


def mr_brain(rng: Rng, size: Size) -> Grey:
    """Brain MR, T1- or T2-like, axial or coronal."""
    scene = Scene(rng, size, wobble=0.04)
    wide, high = jitter(rng, 0.6, 0.12), jitter(rng, 0.74, 0.12)
    white, grey, fluid = rng.permutation([0.9, 0.6, rng.choice([0.1, 1.2])])
    scene.ellipse((0, 0), (wide * 1.1, high * 1.08), rng.uniform(0.6, 1.1))
    scene.ellipse((0, 0), (wide * 1.03, high * 1.02), 0.05)
    folds = fractal(rng, size, 1.4) + 1.5 * (0.75 - scene.distance((0, 0), (wide, high))) * 3
    brain = scene.distance((0, 0), (wide * 0.96, high * 0.96)) < 1
    matter = np.where(folds > 0.3, white, np.where(folds > -1.2, grey, fluid))
    scene.plane = np.where(brain, matter, scene.plane).astype(np.float32)
    scene.plane[brain & (np.abs(scene.x) < 0.012)] = fluid
    for side in (-1, 1):
        radii = jitter(rng, 0.07, 0.3), jitter(rng, 0.22, 0.2)
        scene.ellipse((side * 0.1, -0.03), radii, fluid, angle=-side * 0.3)
    return scan(rng, scene.plane, 0.6, rng.uniform(1.2, 1.8))


def mr_abdomen(rng: Rng, size: Size) -> Grey:
    """Axial abdomen in MR: the same organs with other greys, and no sharp black gas."""
    plane = _abdomen(rng, size)
    tissue = np.clip((plane + 200) / 400, 0, 1)
    folds = rng.uniform(1, 4), rng.uniform(0, 6)
    grey = 0.5 + 0.5 * np.sin(folds[0] * 3 * tissue + folds[1])
    grey = np.where(plane < -300, rng.uniform(0, 0.1), grey)
    grey = ndimage.gaussian_filter(grey, 1.0) * (1 + 0.1 * fractal(rng, size, 1.2))
    return scan(rng, np.asarray(grey, dtype=np.float32), 0.5, rng.uniform(1.0, 1.6))


def mr_body(rng: Rng, size: Size) -> Grey:
    """MR of a joint, a spine or a trunk: bright fat and marrow, dark bone rims, coil shading."""
    scene = Scene(rng, size, wobble=0.1)
    scene.ellipse((0, 0), (jitter(rng, 0.75), jitter(rng, 0.9)), rng.uniform(0.6, 1))
    scene.ellipse((0, 0), (jitter(rng, 0.6, 0.1), jitter(rng, 0.75, 0.1)), rng.uniform(0.2, 0.5))
    step = rng.uniform(0.18, 0.6)
    for y in np.arange(-0.9, 0.9, step):
        x = rng.uniform(-0.05, 0.05) if step < 0.3 else rng.uniform(-0.3, 0.3)
        radii = (step * rng.uniform(0.4, 0.9), step * 0.42)
        scene.ellipse((x, y), radii, rng.uniform(0, 0.1))
        scene.ellipse((x, y), (radii[0] * 0.9, radii[1] * 0.88), rng.uniform(0.5, 1.1))
    plane = scene.plane * (1 + 0.08 * fractal(rng, size, 1.0))
    shade = np.exp(rng.uniform(-0.8, 0.8) * scene.x + rng.uniform(-0.5, 0.5) * scene.y)
    return scan(rng, np.asarray(plane * shade, dtype=np.float32), 0.6, rng.uniform(1.1, 1.8))


def ultrasound(rng: Rng, size: Size) -> Grey:
    """Speckle in a sector, a curved sector or a rectangle, with dark cysts and letters."""
    scene = Scene(rng, size, wobble=0.02)
    y = scene.y + rng.uniform(0.9, 1.4)
    radius, angle = np.hypot(scene.x, y), np.arctan2(scene.x, y)
    field = (
        (np.abs(angle) < rng.uniform(0.3, 0.8)) & (radius < 1.9) & (radius > rng.uniform(0, 0.6))
    )
    if rng.random() < 0.25:
        field = (np.abs(scene.x) < 0.8) & (np.abs(scene.y) < 0.8)
    echo = np.exp(0.8 * fractal(rng, size, 1.7)) * np.exp(-radius * rng.uniform(0, 1))
    for _ in range(int(rng.integers(0, 5))):
        centre, radii = rng.uniform(-0.6, 0.6, 2), rng.uniform(0.05, 0.4, 2)
        echo = np.where(scene.distance(centre, radii) < 1, echo * rng.uniform(0, 0.4), echo)
    blur = rng.uniform(0.5, 1), rng.uniform(0.8, 2.5)
    real = ndimage.gaussian_filter(rng.standard_normal(size), blur)
    other = ndimage.gaussian_filter(rng.standard_normal(size), blur)
    speckle = np.hypot(real, other)
    plane = np.log1p(rng.uniform(3, 20) * echo * speckle / speckle.mean()) * field
    image = Image.fromarray(to_grey(plane))
    if rng.random() < 0.7:
        ImageDraw.Draw(image).text((4, 4), "MI 1.2  12 cm  2D 68%  C 50", fill=230)
    return np.asarray(image)


def retina(rng: Rng, size: Size) -> Grey:
    """Fundus photograph: a bright disc with the optic nerve and branching vessels on black."""
    scene = Scene(rng, size, wobble=0.02)
    disc = scene.distance((0, 0), (0.9, 0.9)) < 1
    plane = 110 + 25 * fractal(rng, size, 2.2) + 4 * fractal(rng, size, 0.8)
    plane += 90 * np.exp(-(scene.distance((rng.uniform(-0.5, 0.5), 0), (0.14, 0.14)) ** 2))
    vessels = np.abs(fractal(rng, size, 1.9)) < rng.uniform(0.03, 0.09)
    plane = np.where(vessels, plane * 0.6, plane)
    return to_grey(np.where(disc, plane, rng.uniform(0, 12)), 0, 255)


def dose_map(rng: Rng, size: Size) -> Grey:
    """A dose or activity map: smooth hot spots on black, or their steps."""
    scene = Scene(rng, size, wobble=0.1)
    plane = np.zeros(size, dtype=np.float32)
    for _ in range(int(rng.integers(1, 7))):
        radii = rng.uniform(0.1, 0.7, 2)
        distance = scene.distance(rng.uniform(-0.5, 0.5, 2), radii, power=rng.choice([2.0, 4.0]))
        plane += rng.uniform(0.2, 1) * np.exp(-(distance**2))
    if rng.random() < 0.3:
        plane = np.round(plane * 6).astype(np.float32)
    return to_grey(plane)


def scout(rng: Rng, size: Size) -> Grey:
    """The scanner's own overview: a whole trunk seen through, long and low in contrast."""
    scene = Scene(rng, size, wobble=0.03)
    depth = scene.chord((0, 0.4), (jitter(rng, 0.55, 0.1), 1.7))
    for side in (-1, 1):
        depth -= 0.4 * scene.chord((side * 0.24, -0.35), (0.19, 0.4))
        depth += 0.25 * (np.abs(scene.x - side * 0.72) < 0.12) * (scene.y > -0.6)
    depth += 0.3 * scene.chord((0, 0), (0.08, 4)) + 0.3 * scene.chord((0, -1), (0.25, 0.3))
    depth += _ribs(scene, 0.04) * (scene.y < 0.2)
    return to_grey(depth + 0.01 * fractal(rng, size, 0.5), rng.uniform(-0.5, 0.1), 1.4)
