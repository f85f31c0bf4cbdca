"""Hotwords measured: what each method gains on words that sound like others, and what it costs elsewhere."""
