"""Engine profiles: one TOML file an engine, each figure with its source."""

from fitcheck.schema.engine import (
    AttentionRate,
    Device,
    Engine,
    GpuFamily,
    Prefill,
    PrefillAttention,
    PrefillGpu,
    Residual,
    TypeRate,
)
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
        overhead_s=part.get("overhead_s", 0.0),
        overhead_s_per_product=part.get("overhead_s_per_product", 0.0),
        cell_padding=part.get("cell_padding", 1),
        cache_efficiency=part.get("cache_efficiency", 1.0),
        rates=_rates(part.get("rates", ())),
        attention=tuple(
            AttentionRate(row["kv_type"], row["flash_attention"], row["products_per_s"])
            for row in part.get("attention", ())
        ),
        reference=_rates(part.get("reference", ())),
        families=tuple(
            GpuFamily(tuple(row["words"]), row["read_efficiency"], row["overhead_s_per_layer"], row["source"])
            for row in part.get("families", ())
        ),
        vendors=tuple(part.get("vendors", ())),
        residuals=tuple(
            Residual(row["basis"], row["low"], row["high"], row["runs"], row["source"])
            for row in part["residuals"]
        ),
        flash_attention_default=part.get("flash_attention_default", True),
        prefill=_prefill(part["prefill"]) if "prefill" in part else None,
    )


def _prefill(table: Table) -> Prefill:
    """Its residuals are for people: a prompt's speed is said without an interval."""
    return Prefill(
        rates=_rates(table.get("rates", ())),
        attention=tuple(
            PrefillAttention(row["flash_attention"], row["products_per_s"])
            for row in table.get("attention", ())
        ),
        gpus=tuple(
            PrefillGpu(
                tuple(row["words"]),
                row["quantized_weights_per_s"],
                row.get("half_weights_per_s"),
                row["products_per_s"],
                row["source"],
            )
            for row in table.get("gpus", ())
        ),
    )


def _rates(tables: list[Table]) -> tuple[TypeRate, ...]:
    """Rates stand in tables that share an ISA and a source."""
    return tuple(
        TypeRate(name, table["isa"], rate)
        for table in tables
        for name, rate in table["weights_per_s"].items()
    )
