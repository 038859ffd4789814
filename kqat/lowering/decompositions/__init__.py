"""Operations as others that have rules, see `kqat.lowering.decomposition`."""
