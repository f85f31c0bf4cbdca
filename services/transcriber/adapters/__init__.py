"""One adapter for each contract."""

from services.transcriber.adapters.huggingface import HUGGINGFACE, HUGGINGFACE_JSON
from services.transcriber.adapters.jumpstart import JUMPSTART
from services.transcriber.adapters.native import NATIVE
from services.transcriber.adapters.npy import NPY
from services.transcriber.adapters.openai import OPENAI, WHISPERX
from services.transcriber.contract import Adapter, Contract

ADAPTERS: dict[Contract, Adapter] = {
    Contract.NATIVE: NATIVE,
    Contract.NPY: NPY,
    Contract.HUGGINGFACE: HUGGINGFACE,
    Contract.HUGGINGFACE_JSON: HUGGINGFACE_JSON,
    Contract.JUMPSTART: JUMPSTART,
    Contract.OPENAI: OPENAI,
    Contract.WHISPERX: WHISPERX,
}
