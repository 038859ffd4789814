"""LiteRT on a CPU: everything that kqat writes."""

from kqat.targets.target import Target

LITERT = Target("litert", source="every exported file is loaded into LiteRT and compared in the tests")
