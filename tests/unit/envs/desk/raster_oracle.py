"""MuJoCo's own renderer as the independent judge of ours, and the scenes that both draw."""

import math

import mujoco
import numpy as np

SHAPES = {
    "plane": ("plane", "0.5 0.4 0.1"),
    "floor": ("plane", "0 0 0.1"),
    "sphere": ("sphere", "0.3"),
    "capsule": ("capsule", "0.12 0.3"),
    "ellipsoid": ("ellipsoid", "0.15 0.25 0.35"),
    "cylinder": ("cylinder", "0.2 0.25"),
    "box": ("box", "0.2 0.25 0.3"),
}
LIGHT = '<light directional="true" dir="-0.4 0.3 -1" specular="0 0 0" castshadow="false"/>'
VISUAL = (
    '<visual><headlight specular="0 0 0"/><global offwidth="512" offheight="512"/>'
    '<quality offsamples="0" numslices="64" numstacks="64"/></visual>'
)


def of(xml):
    """Model and data of a scene, ready to be drawn."""
    model = mujoco.MjModel.from_xml_string(xml)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    return model, data


def shape(name, euler="20 35 50", place="0 0 0"):
    """One shape before a camera at a distance of 1.5 m."""
    kind, size = SHAPES[name]
    turn = "-60 10 0" if kind == "plane" else euler
    return (
        f"<mujoco>{VISUAL}<worldbody>{LIGHT}<camera name='eye' pos='0 0 1.5' fovy='45'/>"
        f"<geom type='{kind}' size='{size}' euler='{turn}' pos='{place}' rgba='0.2 0.6 0.9 1'/></worldbody></mujoco>"
    )


def bench(objects=6, seed=0):
    """A table, a jointed arm with a gripper and a wrist camera, and loose objects of all shapes: about thirty geoms."""
    rng = np.random.default_rng(seed)
    lengths, links = (0.1, 0.2, 0.12, 0.2, 0.12, 0.1, 0.08), ""
    for number, length in enumerate(lengths):
        axis = "0 0 1" if number % 2 == 0 else "0 1 0"
        links += f"<body pos='0 0 {(0.1, *lengths)[number]}'><joint axis='{axis}'/>"
        links += f"<geom type='capsule' size='{0.05 - 0.004 * number}' fromto='0 0 0 0 0 {length}' rgba='.9 .9 .9 1'/>"
        links += f"<geom type='box' size='.03 .05 .02' pos='0 0 {length / 2}' rgba='.3 .3 .3 1'/>"
    finger = "<geom type='box' size='.008 .01 .03' pos='{} 0 .03' rgba='.2 .2 .2 1'/>"
    hand = "<body pos='0 0 .09'><camera name='wrist' pos='.06 0 -.02' xyaxes='0 1 0 1 0 0' fovy='70'/>"
    hand += "<geom type='box' size='.05 .03 .02'/>" + finger.format(0.03) + finger.format(-0.03) + "</body>"
    return (
        f"<mujoco>{VISUAL}<worldbody>{LIGHT}<camera name='front' pos='1.5 0 .9' xyaxes='0 1 0 -.6 0 1'/>"
        "<geom type='plane' size='0 0 1' pos='0 0 -.4' rgba='.4 .4 .45 1'/>"
        "<geom type='box' size='.5 .6 .02' pos='.5 0 -.02' rgba='.7 .6 .5 1'/>"
        "<body><geom type='cylinder' size='.07 .05' pos='0 0 .05'/>"
        + links
        + hand
        + "</body>" * 8
        + "".join(thing(rng, number) for number in range(objects))
        + "</worldbody></mujoco>"
    )


def thing(rng, number):
    """One loose object."""
    sizes = {
        "box": ".025 .03 .02",
        "sphere": ".03",
        "cylinder": ".03 .04",
        "capsule": ".02 .03",
        "ellipsoid": ".02 .03 .04",
    }
    kind = list(sizes)[number % 5]
    x, y, (red, green, blue) = rng.uniform(0.3, 0.75), rng.uniform(-0.35, 0.35), rng.uniform(0, 1, 3)
    turn = f"{rng.uniform(0, 60)} 0 {rng.uniform(0, 180)}"
    return (
        f"<body pos='{x} {y} .04' euler='{turn}'><freejoint/>"
        f"<geom type='{kind}' size='{sizes[kind]}' rgba='{red} {green} {blue} 1'/></body>"
    )


class Judge:
    """Colour, depth and segmentation (-1 for nothing) of MuJoCo's renderer, without shadows and reflections."""

    def __init__(self, model, height, width):
        self._renderer = mujoco.Renderer(model, height, width)

    def draw(self, data, camera):
        renderer = self._renderer
        renderer.update_scene(data, camera=camera)
        for flag in (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION):
            renderer.scene.flags[flag] = 0
        rgb = renderer.render().copy()
        renderer.enable_depth_rendering()
        depth = renderer.render().copy()
        renderer.disable_depth_rendering()
        renderer.enable_segmentation_rendering()
        segmentation = renderer.render()[..., 0].copy()
        renderer.disable_segmentation_rendering()
        return rgb, depth, segmentation

    def close(self):
        self._renderer.close()


def inner(segmentation):
    """Pixels whose eight neighbours show the same geom."""
    same = np.zeros(segmentation.shape, bool)
    middle = segmentation[1:-1, 1:-1]
    height, width = segmentation.shape
    same[1:-1, 1:-1] = True
    for row in range(3):
        for column in range(3):
            same[1:-1, 1:-1] &= segmentation[row : height - 2 + row, column : width - 2 + column] == middle
    return same


def compare(model, data, frame, camera, size=(128, 128)):
    """Share of pixels with the same segmentation, worst depth error (m) inside shapes, mean colour error there."""
    judge = Judge(model, *size)
    try:
        rgb, depth, segmentation = judge.draw(data, camera)
    finally:
        judge.close()
    equal = segmentation == frame.segmentation
    inside = equal & (segmentation >= 0) & inner(segmentation) & inner(frame.segmentation)
    assert inside.sum() > 40
    wrong = np.abs(depth - frame.depth)[inside] / np.maximum(depth[inside], 1)
    colour = np.abs(rgb.astype(int) - frame.rgb)[inside].mean()
    return equal.mean(), wrong.max(), colour


def free(lookat, distance, azimuth, elevation):
    """MuJoCo's camera that looks at a point."""
    camera = mujoco.MjvCamera()
    camera.lookat[:], camera.distance, camera.azimuth, camera.elevation = lookat, distance, azimuth, elevation
    return camera


def bent(model, data, seed=0):
    """Put the arm into some posture."""
    rng = np.random.default_rng(seed)
    data.qpos[:7] = np.array([0, 0.6, 0, 1.2, 0, 1.1, 0]) + rng.uniform(-0.4, 0.4, 7)
    mujoco.mj_forward(model, data)
    return math.fsum(data.qpos)
