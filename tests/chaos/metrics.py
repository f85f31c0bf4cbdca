"""What a process says of itself on its second port."""

import aiohttp
from prometheus_client.parser import text_string_to_metric_families


async def metric(base: str, name: str, **labels: str) -> float:
    """The value of one sample; 0 while there is none."""
    async with aiohttp.ClientSession() as session, session.get(f"{base}/metrics") as answer:
        families = text_string_to_metric_families(await answer.text())
    samples = (sample for family in families for sample in family.samples)
    return next((one.value for one in samples if one.name == name and one.labels == labels), 0.0)
