"""What /metrics shows: counts and times, nothing of a visitor."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

BUCKETS_MS = (1, 2, 5, 10, 20, 35, 50, 80, 100, 150, 250, 500, 1000, 2000)


class Metrics:
    """Prometheus metrics of one kiosk, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        own = self.registry
        self.edits = Counter("livetint_edits", "Edits answered.", registry=own)
        self.superseded = Counter("livetint_superseded", "Edits that a later one replaced.", registry=own)
        self.sessions = Counter("livetint_sessions", "Visitors who began.", registry=own)
        self.resets = Counter("livetint_resets", "Wipes after a visitor left.", registry=own)
        self.saves = Counter("livetint_saves", "Pictures saved.", registry=own)
        self.refused = Counter("livetint_refused", "Messages or uploads refused.", registry=own)
        self.uploads = Counter("livetint_uploads", "Visitors' own pictures opened.", registry=own)
        self.fallbacks = Counter("livetint_fallbacks", "Pages that asked for JPEGs.", registry=own)
        self.screens = Gauge("livetint_screens", "Screens with a page.", registry=own)
        self.screen_edits = Counter("livetint_screen_edits", "Edits answered, by screen.", ["screen"], registry=own)
        self.faults = Gauge("livetint_engine_faults", "Times the engine was replaced.", registry=own)
        self.ready = Gauge("livetint_ready", "1 while an engine process is ready.", registry=own)
        self.fresh = Gauge("livetint_inference_age_seconds", "Seconds since an inference last succeeded.", registry=own)
        self.hottest = Gauge("livetint_hottest_celsius", "Hottest zone of the machine; NaN: unknown.", registry=own)
        self.latency = Histogram(
            "livetint_latency_ms", "Milliseconds by stage.", ["stage"], buckets=BUCKETS_MS, registry=own
        )

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self.registry)
