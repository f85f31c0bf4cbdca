"""How likely each 32 ms of a recording are speech, by the Silero model run on whole sequences.

300 steps a call cost a third of 300 calls; one thread keeps the figures the same on every run.
"""

import importlib.util
from pathlib import Path

import numpy as np
import onnxruntime

from services.chunker.cutting import FRAME, Probabilities, Samples
from services.common.errors import Misconfigured

CONTEXT = 64
"""Samples before each frame that the model hears with it."""
STATE_SHAPE = (1, 1, 128)
SILENT = 8
"""A block whose samples all lie below this (of 32,768) is digital silence; the model need not hear it."""


class SpeechModel:
    """The loaded network, shared by all recordings of a process."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            str(_model_file()), sess_options=options, providers=["CPUExecutionProvider"]
        )


class SpeechDetector:
    """Hears one recording, block after block."""

    def __init__(self, model: SpeechModel) -> None:
        self._session = model.session
        self._context = np.zeros(CONTEXT, np.float32)
        self._h = np.zeros(STATE_SHAPE, np.float32)
        self._c = np.zeros(STATE_SHAPE, np.float32)

    def probabilities(self, block: Samples) -> Probabilities:
        """For `block` (n,) of int16 samples at 16 kHz, ceil(n / 512) probabilities of speech.

        Only the last block of a recording may have a length that is no multiple of 512.
        """
        frames = np.zeros((-(-len(block) // FRAME), FRAME), np.float32)
        frames.reshape(-1)[: len(block)] = block
        if np.abs(frames).max() < SILENT:
            self._forget()
            return np.zeros(len(frames), np.float32)
        frames /= 32_768
        return self._heard(frames)

    def _heard(self, frames: Probabilities) -> Probabilities:
        before = np.concatenate((self._context[None], frames[:-1, -CONTEXT:]))
        inputs = {"input": np.concatenate((before, frames), axis=1), "h": self._h, "c": self._c}
        probabilities, self._h, self._c = self._session.run(["speech_probs", "hn", "cn"], inputs)
        self._context = frames[-1, -CONTEXT:].copy()
        return np.asarray(probabilities, np.float32)

    def _forget(self) -> None:
        for state in (self._context, self._h, self._c):
            state.fill(0)


def _model_file() -> Path:
    """The network inside the silero-vad package, whose code is not imported: it would load torch."""
    found = importlib.util.find_spec("silero_vad")
    if found is None or found.origin is None:
        raise Misconfigured("the silero-vad package is not installed: pip install --no-deps silero-vad")
    return Path(found.origin).parent / "data" / "silero_vad_16k_sequence.onnx"
