"""Write the golden numbers of the policies named on the command line: python tests/contract/write_golden.py act pi0."""

import sys
from pathlib import Path

from golden_numbers import measure

from embodia.io.atomic import write_json

for policy in sys.argv[1:]:
    write_json(Path(__file__).parent.parent / "golden" / f"{policy}.json", measure(policy))
