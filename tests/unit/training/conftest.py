"""What several tests of training begin with."""

import pytest
from training_world import record

from embodia.data.mixture import Mixture


@pytest.fixture(scope="module")
def mixture(tmp_path_factory):
    return Mixture([(record(tmp_path_factory.mktemp("data") / "toy"), 1.0)])
