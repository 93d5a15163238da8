"""A model by its name: a family without configurations of its own. Its parameters are ``target``
("package.module:object"), ``inputs`` (specs of ``trnbench.models.input_spec``, separated by blanks)
and ``phase``; its cost is counted by torch.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..family import Family

PHASES = ("forward", "training")

#: Nobody knows how many roundings lie in a row. Seen with twelve and more layers (text, vision,
#: convolution; 3 seeds each): 2e-6, 3.5e-2, 5e-3. The room for fp32 is what a Winograd kernel needs.
ERROR_BOUND: Mapping[str, float] = {"fp32": 5e-5, "bf16": 1e-1, "fp16": 2e-2}
#: Of the loss and the norms of gradients. Transformers stay below 1e-6 and 1e-2; fifty layers of
#: convolution, batch norm and relu reach 2.5e-3, 5.6e-2 and 4e-2 with a few small images.
TRAINING_ERROR_BOUND: Mapping[str, float] = {"fp32": 5e-3, "bf16": 1e-1, "fp16": 1e-1}

FAMILY = Family(
    name="module",
    summary="a model by its name: trnbench run package.module:object --input 8x128",
    phase="forward",
    configurations=(),
    program="trnbench.models.module:make_program",
    cost=None,
    error_bound=ERROR_BOUND,
)
