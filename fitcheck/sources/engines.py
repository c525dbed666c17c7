"""Engine profiles: one TOML file an engine, each figure with its source."""

from fitcheck.schema.engine import AttentionRate, Device, Engine, Residual, TypeRate
from fitcheck.sources.profiles import Table, profile_path, read_toml, stems

DEVICES: tuple[Device, ...] = ("cpu", "gpu")


def load_engines() -> tuple[Engine, ...]:
    """Every engine on every device its profile describes."""
    profiles = [read_toml(profile_path("engines", stem)) for stem in stems("engines")]
    return tuple(_engine(profile, device) for profile in profiles for device in DEVICES if device in profile)


def _engine(profile: Table, device: Device) -> Engine:
    part = profile[device]
    return Engine(
        name=profile["name"],
        source=part["source"],
        device=device,
        pages=part.get("pages", "4k"),
        read_efficiency=part["read_efficiency"],
        overhead_s_per_layer=part["overhead_s_per_layer"],
        rates=tuple(TypeRate(row["type"], row["isa"], row["weights_per_s"]) for row in part.get("rates", ())),
        attention=tuple(
            AttentionRate(row["kv_type"], row["flash_attention"], row["elements_per_s"])
            for row in part.get("attention", ())
        ),
        residuals=tuple(
            Residual(row["basis"], row["low"], row["high"], row["runs"], row["source"])
            for row in part["residuals"]
        ),
        flash_attention_default=profile.get("flash_attention_default", True),
    )
