"""A network with every number that goes in and comes out, as a file: for judging gradients from any language."""

from ..check.given import CaseError
from . import files, models, truth
from .case import RECORDS, Case
from .names import Name, parse
from .network import Network, register

__all__ = ["RECORDS", "Case", "CaseError", "Name", "Network", "files", "models", "parse", "register", "truth"]
