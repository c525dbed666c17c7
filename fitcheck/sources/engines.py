"""Engine profiles: one TOML file an engine, each figure with its source."""

from fitcheck.schema.engine import (
    OVERLAP,
    AttentionRate,
    Buffer,
    ConversionStep,
    Device,
    Engine,
    EngineMemory,
    GpuFamily,
    LaneCost,
    Link,
    Prefill,
    PrefillAttention,
    PrefillGpu,
    PrefillLanes,
    Residual,
    Routing,
    Sockets,
    Stall,
    TypeRate,
)
from fitcheck.sources.profiles import Table, profile_path, read_toml, stems
from fitcheck.units import parse_capacity

DEVICES: tuple[Device, ...] = ("cpu", "gpu")


def load_engines() -> tuple[Engine, ...]:
    """Every engine on every device its profile describes; one built on another has that one's speeds."""
    tables = [read_toml(profile_path("engines", stem)) for stem in stems("engines")]
    profiles = {table["name"]: table for table in tables}
    return tuple(
        _engine(profile, profiles[profile.get("base", profile["name"])], device)
        for profile in profiles.values()
        for device in DEVICES
        if device in profiles[profile.get("base", profile["name"])]
    )


def _engine(profile: Table, speeds: Table, device: Device) -> Engine:
    part = speeds[device]
    return Engine(
        name=profile["name"],
        source=part["source"],
        device=device,
        pages=part.get("pages", "4k"),
        read_efficiency=part["read_efficiency"],
        overhead_s_per_layer=part["overhead_s_per_layer"],
        overhead_s_per_further_token=part.get("overhead_s_per_further_token", 0.0),
        overhead_s=part.get("overhead_s", 0.0),
        overhead_s_per_product=part.get("overhead_s_per_product", 0.0),
        overlap=part.get("overlap", OVERLAP),
        overhead_s_per_number=part.get("overhead_s_per_number", 0.0),
        routing=_routing(part["routing"]) if "routing" in part else None,
        draft_checks=part.get("draft_checks", False),
        cell_padding=part.get("cell_padding", 1),
        cache_efficiency=part.get("cache_efficiency", 1.0),
        rates=_rates(part.get("rates", ())),
        attention=tuple(map(_attention, part.get("attention", ()))),
        reference=_rates(part.get("reference", ())),
        families=tuple(
            GpuFamily(tuple(row["words"]), row["read_efficiency"], row["overhead_s_per_layer"], row["source"])
            for row in part.get("families", ())
        ),
        lane_costs=tuple(
            LaneCost(tuple(row["types"]), row["per_weight"], row["source"])
            for row in part.get("lane_costs", ())
        ),
        sockets=Sockets(**part["sockets"]) if "sockets" in part else None,
        links=tuple(Link(**row | {"words": tuple(row.get("words", ()))}) for row in part.get("links", ())),
        vendors=tuple(part.get("vendors", ())),
        gpu_only=profile.get("gpu_only", False),
        fitted=tuple(part.get("fitted", ())),
        residuals=tuple(
            Residual(row["basis"], row["low"], row["high"], row["runs"], row["source"])
            for row in part["residuals"]
        ),
        flash_attention_default=part.get("flash_attention_default", True),
        memory=_memory(profile.get("memory", {})),
        base=profile.get("base"),
        prefill=_prefill(part["prefill"]) if "prefill" in part else None,
    )


def _routing(row: Table) -> Routing:
    return Routing(row["layer_s"], row["matrix_s"], row["sum_s"])


def _attention(row: Table) -> AttentionRate:
    stalls = tuple(Stall(one["steps"], one["row_bytes"], one["seconds"]) for one in row.get("stalls", ()))
    plain = {key: value for key, value in row.items() if key not in ("source", "stalls")}
    return AttentionRate(stalls=stalls, **plain)


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
        lanes=tuple(PrefillLanes(**row | {"words": tuple(row["words"])}) for row in table.get("lanes", ())),
        queued_layers=table.get("queued_layers"),
    )


def _memory(table: Table) -> EngineMemory:
    """Its memory rules; what the profile leaves out nobody looked up."""
    steps = tuple(
        ConversionStep(
            step=row["step"],
            needs_quantizing=row.get("needs_quantizing", False),
            ram_fixed_bytes=parse_capacity(row["ram"]) if "ram" in row else None,
            ram_source=row.get("ram_source", 0.0),
            ram_target=row.get("ram_target", 0.0),
            ram_largest=row.get("ram_largest", 0.0),
            disk_source=row.get("disk_source", 0.0),
            disk_target=row.get("disk_target", 0.0),
            source=row["source"],
        )
        for row in table.get("conversions", ())
    )
    buffers = tuple(Buffer(**row) for row in table.get("buffers", ()))
    plain = {key: value for key, value in table.items() if key not in ("conversions", "buffers", "notes")}
    return EngineMemory(conversions=steps, buffers=buffers, notes=tuple(table.get("notes", ())), **plain)


def _rates(tables: list[Table]) -> tuple[TypeRate, ...]:
    """Rates stand in tables that share an ISA and a source."""
    shared = ("isa", "parallel_share", "turn_s", "overlap", "since", "block", "half_at", "experts", "odd_s")
    return tuple(
        TypeRate(type=name, weights_per_s=rate, **{key: table[key] for key in shared if key in table})
        for table in tables
        for name, rate in table["weights_per_s"].items()
    )
