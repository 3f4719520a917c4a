"""One rank of a two-process job, started by torchrun: for each "mode:folder:steps" argument, one run in that folder.

A fourth part, "lora", lets it learn by low-rank updates.
"""

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from training_world import LOW_RANK, parallel_config, parallel_factories

from embodia.training.loop import fit

torch.set_num_threads(1)
dist.init_process_group("gloo")
for argument in sys.argv[2:]:
    mode, folder, steps, *low = argument.split(":")
    chosen = parallel_config(steps=int(steps), parallel=mode, **(LOW_RANK if low else {}))
    fit(chosen, parallel_factories(chosen), Path(sys.argv[1], folder))
dist.destroy_process_group()
