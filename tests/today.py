"""A detector of a format 1 model file, as if the file had been written today: all that format 1 could not say is on."""

from msgspec import structs

from tickover.core.manifest import SensorPolicy
from tickover.model.detector import Detector


def of_today(detector: Detector) -> Detector:
    """The same detector; its episodes keep their durations, and follow today's rules."""
    manifest = detector.manifest
    new = dict.fromkeys(("update_on_signal", "hold_slow_means", "skip_carried", "adapt_limits"), True)
    episodes = structs.replace(manifest.episodes, **new)
    detector.manifest = structs.replace(manifest, episodes=episodes, sensors=SensorPolicy())
    return detector
