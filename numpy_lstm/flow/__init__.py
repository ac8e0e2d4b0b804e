"""Gradient-flow instruments: what a backward pass carries, step by step, and why it shrinks or grows.

Pure functions on records. ``passes`` runs any cell or layer forward and back and hands out one ``Pass`` per cell, layer
and direction; the others read it, or the cell, its parameters and a run.
"""

from .diagnosis import Diagnosis, diagnose, fit_rate, half_life, saturation
from .jacobians import direct_path, jacobian_product, singular_values, spectral_radius, step_jacobian, step_jacobians
from .lyapunov import lyapunov_exponents
from .passes import Pass, passes, passes_of
from .paths import split
from .roles import carry_factors, gates
from .sensitivity import sensitivity_map
from .signals import contribution_norms, contributions, norms
from .table import Table

__all__ = [
    "Diagnosis",
    "Pass",
    "Table",
    "carry_factors",
    "contribution_norms",
    "contributions",
    "diagnose",
    "direct_path",
    "fit_rate",
    "gates",
    "half_life",
    "jacobian_product",
    "lyapunov_exponents",
    "norms",
    "passes",
    "passes_of",
    "saturation",
    "sensitivity_map",
    "singular_values",
    "spectral_radius",
    "split",
    "step_jacobian",
    "step_jacobians",
]
