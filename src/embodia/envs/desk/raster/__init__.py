"""Own renderer of MuJoCo models made of primitives: colour, depth and segmentation in one pass, without OpenGL.

`Raster(model, views).draw(data)` for one world, `RasterBatch` for many at once, `points_from_depth` for point clouds.
The one thing to watch: textures, shadows, highlights and transparency are not drawn; the profile `faithful` has them.
The first picture after an installation compiles for some ten seconds, later ones read the compiled code from disk.
"""

from embodia.envs.desk.raster.frames import Frame, Raster, RasterBatch
from embodia.envs.desk.raster.points import points_from_depth

__all__ = ["Frame", "Raster", "RasterBatch", "points_from_depth"]
