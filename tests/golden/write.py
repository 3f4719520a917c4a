"""Write the golden numbers of the policies named on the command line: python tests/golden/write.py act pi0."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "contract"))

from golden_numbers import measure

from embodia.io.atomic import write_json

for policy in sys.argv[1:]:
    write_json(HERE / f"{policy}.json", measure(policy))
