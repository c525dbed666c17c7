"""What published configs say of the shape, in tables: model of the catalogue -> the fields that matter."""

from collections.abc import Iterable
from typing import Any

# The fields of published configs that say something about the shape.
LLAMA3 = {"rope_type": "llama3", "factor": 8.0}
QWEN3_MOE = {"num_experts": 128, "num_experts_per_tok": 8, "moe_intermediate_size": 768}


NUMBERS = (
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "intermediate_size",
    "vocab_size",
)


def shape(kind: str, *numbers: Any, **more: Any) -> dict[str, Any]:
    return {"model_type": kind, **dict(zip(NUMBERS, numbers, strict=True)), **more}


def hybrid(most: str, layers: int, full: Iterable[int]) -> list[str]:
    """Kinds of layers: attention that sees all at these places."""
    places = set(full)
    return ["full_attention" if n in places else most for n in range(layers)]


LFM2 = (2, 5, 8, 10, 12, 14)
GLM_AIR = {
    "n_routed_experts": 128, "num_experts_per_tok": 8, "moe_intermediate_size": 1408, "n_shared_experts": 1,
    "first_k_dense_replace": 1, "num_nextn_predict_layers": 1,
}  # fmt: skip
DELTA_NET = {
    "linear_num_key_heads": 16, "linear_key_head_dim": 128, "linear_num_value_heads": 32,
    "linear_value_head_dim": 128, "linear_conv_kernel_dim": 4,
}  # fmt: skip
OLDER = {
    "command-a-111b": shape("cohere2", 12288, 64, 96, 8, 36864, 256000, sliding_window=4096),
    "afm-4.5b": shape("arcee", 2560, 36, 20, 4, 18432, 128004, head_dim=128),
    "minitron-8b": shape("nemotron", 4096, 32, 48, 8, 16384, 256000, head_dim=128),
    "apertus-8b": shape("apertus", 4096, 32, 32, 8, 21504, 131072, rope_scaling=LLAMA3),
    "seed-oss-36b": shape("seed_oss", 5120, 64, 80, 8, 27648, 155136, head_dim=128, attention_bias=True),
    "hunyuan-7b": shape("hunyuan_v1_dense", 4096, 32, 32, 8, 14336, 128167, tie_word_embeddings=True),
    "ernie-4.5-0.3b": shape("ernie4_5", 1024, 18, 16, 2, 3072, 103424, head_dim=128),
    "ernie-4.5-21b-a3b": shape(
        "ernie4_5_moe", 2560, 28, 20, 4, 12288, 103424, moe_num_experts=64, moe_k=6, head_dim=128,
        moe_intermediate_size=1536, moe_num_shared_experts=2, moe_layer_start_index=1,
    ),
    "dots.llm1": shape(
        "dots1", 4096, 62, 32, 32, 10944, 152064, head_dim=128, n_routed_experts=128, num_experts_per_tok=6,
        moe_intermediate_size=1408, n_shared_experts=2, first_k_dense_replace=1,
    ),
    "deepseek-moe-16b": shape(
        "deepseek", 2048, 28, 16, 16, 10944, 102400, n_routed_experts=64, num_experts_per_tok=6,
        moe_intermediate_size=1408, n_shared_experts=2, first_k_dense_replace=1,
    ),
    "olmo-7b": shape("olmo", 4096, 32, 32, 32, 11008, 50304),
    "olmoe-1b-7b": shape("olmoe", 2048, 16, 16, 16, 1024, 50304, num_experts=64, num_experts_per_tok=8),
    "qwen1.5-moe-a2.7b": shape(
        "qwen2_moe", 2048, 24, 16, 16, 5632, 151936, num_experts=60, num_experts_per_tok=4,
        moe_intermediate_size=1408, shared_expert_intermediate_size=5632,
    ),
    "granite-3.0-1b-a400m": shape(
        "granitemoe", 1024, 24, 16, 8, 512, 49152, num_local_experts=32, num_experts_per_tok=8,
        tie_word_embeddings=True,
    ),
    "starcoder2-3b": shape("starcoder2", 3072, 30, 24, 2, 12288, 49152, use_bias=True),
    "phi-2": shape("phi", 2560, 32, 32, 32, 10240, 51200),
    "pythia-1.4b": shape("gpt_neox", 2048, 24, 16, 16, 8192, 50304),
    "exaone-4.0-32b": shape(
        "exaone4", 5120, 64, 40, 8, 27392, 102400, head_dim=128, sliding_window=4096, rope_scaling=LLAMA3
    ),
    "exaone-4.0-1.2b": shape(
        "exaone4", 2048, 30, 32, 8, 4096, 102400, head_dim=64, tie_word_embeddings=True,
        sliding_window=None, rope_scaling=LLAMA3,
    ),
    "glm-4-9b-0414": shape("glm4", 4096, 40, 32, 2, 13696, 151552, head_dim=128, attention_bias=True),
    "glm-4.7-flash": shape(
        "glm4_moe_lite", 2048, 47, 20, 20, 10240, 154880, n_routed_experts=64, num_experts_per_tok=4,
        moe_intermediate_size=1536, n_shared_experts=1, first_k_dense_replace=1, topk_method="noaux_tc",
        kv_lora_rank=512, q_lora_rank=768, qk_nope_head_dim=192, qk_rope_head_dim=64, v_head_dim=256,
    ),
    "falcon-mamba-7b": {
        "model_type": "falcon_mamba", "hidden_size": 4096, "num_hidden_layers": 64, "vocab_size": 65024,
        "intermediate_size": 8192, "state_size": 16, "conv_kernel": 4, "time_step_rank": 256,
    },
    "mamba-130m": {
        "model_type": "mamba", "hidden_size": 768, "num_hidden_layers": 24, "vocab_size": 50280,
        "intermediate_size": 1536, "state_size": 16, "conv_kernel": 4, "time_step_rank": 48,
    },
    "jamba-v0.1": shape(
        "jamba", 4096, 32, 32, 8, 14336, 65536, num_experts=16, num_experts_per_tok=2, attn_layer_period=8,
        attn_layer_offset=4, expert_layer_period=2, expert_layer_offset=1, mamba_expand=2, mamba_d_state=16,
        mamba_d_conv=4, mamba_dt_rank=256,
    ),
    "gemma-3n-e2b": shape(
        "gemma3n_text", 2048, 30, 8, 2, [8192] * 30, 262400, head_dim=256, sliding_window=512,
        num_kv_shared_layers=10, hidden_size_per_layer_input=256, altup_num_inputs=4, laurel_rank=64,
    ),
}  # fmt: skip
PUBLISHED = {
    "llama-3.1-70b": shape("llama", 8192, 80, 64, 8, 28672, 128256, rope_scaling=LLAMA3),
    "llama-3.2-1b": shape(
        "llama", 2048, 16, 32, 8, 8192, 128256, head_dim=64, rope_scaling=LLAMA3, tie_word_embeddings=True
    ),
    "mistral-7b-v0.3": shape("mistral", 4096, 32, 32, 8, 14336, 32768, sliding_window=None),
    "mixtral-8x7b": shape(
        "mixtral", 4096, 32, 32, 8, 14336, 32000, num_local_experts=8, num_experts_per_tok=2
    ),
    "qwen2.5-7b": shape("qwen2", 3584, 28, 28, 4, 18944, 152064, tie_word_embeddings=False),
    "qwen3-32b": shape("qwen3", 5120, 64, 64, 8, 25600, 151936, head_dim=128, attention_bias=False),
    "qwen3-30b-a3b": shape("qwen3_moe", 2048, 48, 32, 4, 6144, 151936, head_dim=128, **QWEN3_MOE),
    "gemma-2-9b": shape("gemma2", 3584, 42, 16, 8, 14336, 256000, head_dim=256, sliding_window=4096),
    "gemma-3-1b": shape("gemma3_text", 1152, 26, 4, 1, 6912, 262144, head_dim=256, sliding_window=512),
    "phi-4": shape("phi3", 5120, 40, 40, 10, 17920, 100352, tie_word_embeddings=False),
    "smollm3-3b": shape("smollm3", 2048, 36, 16, 4, 11008, 128256),
    "ministral-3-3b": shape(
        "ministral3", 3072, 26, 32, 8, 9216, 131072, head_dim=128, tie_word_embeddings=True
    ),
    "granite-4.1-8b": shape("granite", 4096, 40, 32, 8, 12800, 100352),
    "olmo-2-7b": shape("olmo2", 4096, 32, 32, 32, 11008, 100352),
    "olmo-3-7b": shape("olmo3", 4096, 32, 32, 32, 11008, 100278, sliding_window=4096),
    "lfm2-1.2b": shape(
        "lfm2", 2048, 16, 32, 8, 12288, 65536, block_ff_dim=12288, layer_types=hybrid("conv", 16, LFM2)
    ),
    "lfm2-8b-a1b": shape(
        "lfm2_moe",
        2048,
        24,
        32,
        8,
        7168,
        65536,
        num_dense_layers=2,
        num_experts=32,
        num_experts_per_tok=4,
        moe_intermediate_size=1792,
        layer_types=hybrid("conv", 24, (2, 6, 10, 14, 18, 21)),
    ),
    "granite-4.0-h-tiny": shape(
        "granitemoehybrid",
        1536,
        40,
        12,
        4,
        512,
        100352,
        num_local_experts=64,
        num_experts_per_tok=6,
        shared_intermediate_size=1024,
        mamba_n_heads=48,
        mamba_d_head=64,
        mamba_d_state=128,
        mamba_n_groups=1,
        mamba_d_conv=4,
        layer_types=["attention" if n in (5, 15, 25, 35) else "mamba" for n in range(40)],
    ),
    "falcon-h1-0.5b": shape(
        "falcon_h1",
        1024,
        36,
        8,
        2,
        2048,
        32784,
        head_dim=64,
        mamba_d_ssm=1536,
        mamba_n_heads=24,
        mamba_d_head="auto",
        mamba_d_state=128,
        mamba_n_groups=1,
        mamba_d_conv=4,
    ),
    "glm-4.5-air": shape(
        "glm4_moe", 4096, 46, 96, 8, 10944, 151552, head_dim=128, attention_bias=True, **GLM_AIR
    ),
    "qwen3-next-80b-a3b": shape(
        "qwen3_next",
        2048,
        48,
        16,
        2,
        5120,
        151936,
        head_dim=256,
        num_experts=512,
        num_experts_per_tok=10,
        moe_intermediate_size=512,
        shared_expert_intermediate_size=512,
        **DELTA_NET,
    ),
    "kimi-linear-48b-a3b": shape(
        "kimi_linear",
        2304,
        27,
        32,
        32,
        9216,
        163840,
        first_k_dense_replace=1,
        num_experts=256,
        num_experts_per_token=8,
        moe_intermediate_size=1024,
        num_shared_experts=1,
        kv_lora_rank=512,
        qk_nope_head_dim=128,
        qk_rope_head_dim=64,
        v_head_dim=128,
        q_lora_rank=None,
        linear_attn_config={
            "num_heads": 32,
            "head_dim": 128,
            "short_conv_kernel_size": 4,
            "kda_layers": [n for n in range(1, 27) if n % 4],
        },
    ),
    "deepseek-v2-lite": shape(
        "deepseek_v2",
        2048,
        27,
        16,
        16,
        10944,
        102400,
        first_k_dense_replace=1,
        n_routed_experts=64,
        num_experts_per_tok=6,
        moe_intermediate_size=1408,
        n_shared_experts=2,
        topk_method="greedy",
        kv_lora_rank=512,
        qk_nope_head_dim=128,
        qk_rope_head_dim=64,
        v_head_dim=128,
        q_lora_rank=None,
    ),
    "rwkv7-0.1b": {
        "model_type": "rwkv7",
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "vocab_size": 65536,
        "intermediate_size": 3072,
        "head_dim": 64,
        "decay_low_rank_dim": 64,
        "a_low_rank_dim": 64,
        "v_low_rank_dim": 32,
        "gate_low_rank_dim": 128,
    },
    "gemma-4-e2b": shape(
        "gemma4_text",
        1536,
        35,
        8,
        1,
        6144,
        262144,
        head_dim=256,
        global_head_dim=512,
        sliding_window=512,
        num_kv_shared_layers=20,
        use_double_wide_mlp=True,
        hidden_size_per_layer_input=256,
        vocab_size_per_layer_input=262144,
        num_global_key_value_heads=None,
        attention_k_eq_v=False,
        layer_types=hybrid("sliding_attention", 35, range(4, 35, 5)),
    ),
    "bitnet-2b": shape("bitnet", 2560, 30, 20, 5, 6912, 128256, tie_word_embeddings=True),
}


STEP_MOE = {"moe_num_experts": 288, "moe_top_k": 8, "moe_intermediate_size": 1280, "share_expert_dim": 1280}
LATER = {
    "falcon-180b": shape(
        "falcon", 14848, 80, 232, None, None, 65024, num_kv_heads=8, new_decoder_architecture=True,
        parallel_attn=True, multi_query=True, alibi=False, bias=False,
    ),
    "hunyuan-a13b": shape(
        "hunyuan_v1_moe", 4096, 32, 32, 8, 3072, 128167, attention_head_dim=128, num_experts=64,
        moe_topk=[8] * 32, moe_intermediate_size=[3072] * 32, num_shared_expert=[1] * 32, use_cla=False,
        use_mixed_mlp_moe=True, use_qk_norm=True, tie_word_embeddings=True,
        rope_scaling={"type": "dynamic", "alpha": 1000.0},
    ),
    "trinity-large": shape(
        "afmoe", 3072, 60, 48, 8, 12288, 200192, head_dim=128, sliding_window=4096, num_dense_layers=6,
        num_experts=256, num_experts_per_tok=4, moe_intermediate_size=3072, num_shared_experts=1,
    ),
    "step-3.5-flash": shape(
        "step3p5", 4096, 45, 64, None, 11264, 128896, num_attention_groups=8, head_dim=128,
        attention_other_setting={"attention_type": "sliding_attention", "num_attention_heads": 96},
        use_head_wise_attn_gate=True, use_moe_router_bias=True, sliding_window=512,
        layer_types=["sliding_attention" if n % 4 else "full_attention" for n in range(45)]
        + ["sliding_attention"] * 3,
        moe_layers_enum=",".join(map(str, range(3, 45))), num_nextn_predict_layers=3, **STEP_MOE,
    ),
    "rwkv6-1.6b": {
        "model_type": "rwkv6", "hidden_size": 2048, "num_hidden_layers": 24, "num_attention_heads": 64,
        "vocab_size": 65536, "head_size_divisor": 8, "rescale_every": 6, "tie_word_embeddings": False,
    },
}  # fmt: skip
PUBLISHED |= OLDER | LATER
