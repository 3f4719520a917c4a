"""The OpenGL library is chosen before any test module imports MuJoCo."""

from embodia.envs.drawing import choose_opengl

choose_opengl()
