"""Post-training quantization: one algorithm a file, and the ladder that `kqat.calibrate` climbs.

`step` registers a further algorithm, `Work` is what it works on. What comes with kqat:
`gptq`, `reconstruct`.

Threads: steps are registered while no other thread calibrates.
"""

from kqat.ptq import gptq as _gptq  # noqa: F401  (registers)
from kqat.ptq import reconstruct as _reconstruct  # noqa: F401
from kqat.ptq.registry import Step, find_steps, step
from kqat.ptq.work import Weight, Work

__all__ = ["Step", "Weight", "Work", "find_steps", "step"]
