"""Coverage-guided: libFuzzer, through atheris, on one target for some seconds.

    python tests/fuzz/fuzz_guided.py TARGET CORPUS FINDINGS [options of libFuzzer]

``make fuzz`` starts it; libFuzzer ends the process that it runs in.
"""

from __future__ import annotations

import importlib
import pkgutil
import random
import sys
from pathlib import Path

import atheris

#: Half of the changes are libFuzzer's own, which know what reached new code.
_OWN_SHARE = 0.5
_ROOMS = ("results", "specs", "bench", "backends")


def _import_instrumented() -> None:
    """The rooms that read and show, each branch of them counted. Modules that are imported where
    they are needed would come too late."""
    with atheris.instrument_imports(include=["trnbench"]):
        import trnbench

        for room in _ROOMS:
            package = importlib.import_module(f"trnbench.{room}")
            for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
                # The plugin is pytest's; the others measure, and import torch where they do.
                if found.name.startswith(("trnbench.results", "trnbench.specs")):
                    importlib.import_module(found.name)
        importlib.import_module("fuzz_targets")
    assert trnbench.__version__


def main() -> None:
    target, corpus, folder, *options = sys.argv[1:]
    _import_instrumented()
    from fuzz_findings import Findings
    from fuzz_mutation import mutate

    findings = Findings(target, Path(folder))

    def change(content: bytes, longest: int, seed: int) -> bytes:
        rng = random.Random(seed)
        if rng.random() < _OWN_SHARE:
            return atheris.Mutate(content, longest)
        for _ in range(rng.randrange(1, 4)):
            content = mutate(content, rng)
        return content[:longest]

    atheris.Setup([sys.argv[0], corpus, *options], findings.try_out, custom_mutator=change)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
