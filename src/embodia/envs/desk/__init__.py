"""Desk, the laboratory bench: contact physics, primitive shapes, sentences; fast enough to train on two cores.

`scenes` says what stands on the table, `bodies` who acts, `world` steps it, `tasks` what is asked. The adapter
`envs.adapters.desk` puts all of it behind the `Env` protocol. The one thing to watch: the off-screen OpenGL library is
chosen here, because MuJoCo reads that choice when it is imported.
"""

from __future__ import annotations

from embodia.envs.drawing import choose_opengl

choose_opengl()
