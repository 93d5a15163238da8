"""Whatever a file holds, it is read, or refused with an error that is documented.

A few inputs of each kind, always the same ones; ``make fuzz`` tries many, and others each time.
"""

from __future__ import annotations

import fuzz_inputs
import fuzz_seeds
import fuzz_targets
import pytest
from hypothesis import HealthCheck, Phase, given, settings

#: Fewer of what takes a tenth of a second or more.
EXAMPLES = {"page": 3, "compare": 5, "show": 5, "import": 20, "published": 10, "parquet": 15}


@pytest.mark.parametrize("name", fuzz_targets.TARGETS)
def test_a_seed_is_no_surprise(tmp_path, name):
    contents = fuzz_seeds.seeds(name)
    assert contents
    fuzz_seeds.write_known(tmp_path)

    # The first of records has all that the others have.
    for content in contents[:1] if name in fuzz_seeds.OF_RECORDS else contents:
        fuzz_targets.check(fuzz_targets.TARGETS[name], content, tmp_path)


@pytest.mark.parametrize("name", fuzz_targets.TARGETS)
def test_whatever_a_file_holds_it_is_read_or_refused(tmp_path, name):
    fuzz_seeds.write_known(tmp_path)

    @settings(
        max_examples=EXAMPLES.get(name, 50),
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(content=fuzz_inputs.inputs(name))
    def holds(content):
        fuzz_targets.check(fuzz_targets.TARGETS[name], content, tmp_path)

    holds()
