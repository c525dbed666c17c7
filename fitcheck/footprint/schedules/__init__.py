"""What running each mechanism takes and gives back in the compute buffer, tensor by tensor.

One registered function a mechanism, after its graph in llama.cpp b11434
(src/llama-graph.cpp, src/models/*.cpp). Views take nothing. An operation that
ggml runs in place (ggml_op_can_inplace) takes nothing either, unless its
source is a view: so the first norm or rotation after a reshape does.
"""

from fitcheck.footprint.schedules import attention, compressed, ffn, latent, state
from fitcheck.footprint.schedules.parts import project, run, states_first

REGISTERED = (attention, compressed, ffn, latent, state)  # importing a module registers its schedules

__all__ = ["REGISTERED", "project", "run", "states_first"]
