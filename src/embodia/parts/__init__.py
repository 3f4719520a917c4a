"""The parts a policy is wired from: encoders, backbones, decoders and the composition that joins them."""
