"""What nats-py complains of, said once in a while and without secrets."""

import asyncio
import re

import structlog

from services.common.trust import is_distrust

log = structlog.get_logger()

REPEAT_SECONDS = 5.0
REMEMBERED_SENTENCES = 20


class Complaints:
    """Says each thing every few seconds only: a server that is away is tried four times a second."""

    def __init__(self, address: str) -> None:
        self.connected = False
        """Whether there was a connection at all."""
        self._address = address
        self._quiet_until: dict[str, float] = {}

    async def hear(self, error: Exception) -> None:
        """nats-py's callback for errors that nobody waits for."""
        now, sentence = asyncio.get_running_loop().time(), said(error)
        if now < self._quiet_until.get(sentence, 0.0):
            return
        if len(self._quiet_until) > REMEMBERED_SENTENCES:
            self._quiet_until.clear()
        self._quiet_until[sentence] = now + REPEAT_SECONDS
        if "permissions violation" in sentence.lower():
            log.error("nats_forbids", error=sentence)  # rights and code have parted: somebody must look
        elif is_distrust(error):
            log.error("nats_not_trusted", url=self._address, error=sentence, check="NATS_CA_FILE, NATS_URL")
        elif not self.connected:
            log.info("waiting_for_nats", url=self._address, error=sentence)
        else:
            log.info("nats_said", error=sentence)


def said(error: BaseException) -> str:
    """What an error says, or what it is."""
    return str(error) or type(error).__name__


def shown(url: str) -> str:
    """Addresses without the credentials that may stand in them."""
    return re.sub(r"//[^@/,]*@", "//", url)
