"""`python -m embodia.cli VERB ...`, the form that `torchrun -m` needs."""

import sys

from embodia.cli.main import main

sys.exit(main())
