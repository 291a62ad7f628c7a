"""From a trained network to an inspector on disk: graph, INT8 model, proof, card."""

from sihwa.export.config import ExportConfig
from sihwa.export.export import Trained, export_inspector, network_facts

__all__ = ["ExportConfig", "Trained", "export_inspector", "network_facts"]
