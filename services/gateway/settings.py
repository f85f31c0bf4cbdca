"""Settings of the gateway."""

from services.common.settings import ServiceSettings
from services.contracts.topology import DAY_SECONDS


class Settings(ServiceSettings, frozen=True, kw_only=True):
    """Ports, limits and retention."""

    port: int = 8080
    """Port of the page and the API."""
    public_url: str = ""
    """Address that browsers use, such as https://whisper.example.com; with https the cookie is Secure."""
    trusted_proxies: int = 0
    """Proxies in front that add to X-Forwarded-For; 0 takes the address of the connection."""
    notice: str = ""
    """A sentence shown to everybody on the page."""
    max_upload_bytes: int = 10_000_000_000
    """Recordings larger than this are refused with 413."""
    max_uploads: int = 200
    """Uploads at the same time in one process; further ones get 429. Each takes up to 4 MB of memory."""
    max_streams: int = 2000
    """Open event streams in one process, each of some 20 KB of memory; further ones get 503."""
    stall_seconds: float = 60.0
    """An upload slower than 1 KB/s for this long is cut off."""
    user_max_jobs: int = 1000
    """Jobs of a user that may run or wait; further uploads get 429. 0 is no limit."""
    user_uploads_per_minute: int = 600
    """Recordings that a user may send within a minute; further ones get 429. 0 is no limit."""
    user_audio_hours: float = 500.0
    """Hours of audio that a user may have stored; uploads beyond get 429. 0 is no limit."""
    user_hotword_lists: int = 100
    """Hotword lists that a user may keep, or that may be shared; a further one gets 429. 0 is no limit."""
    user_hotword_bytes: int = 4_000_000
    """Bytes that the words of all these lists may take; a list beyond gets 429. 0 is no limit."""
    storage_refuse_share: float = 0.8
    """New uploads are refused once this share of the disk budget of audio, transcripts or records is used."""
    usage_top_users: int = 10
    """Users with the most audio today whom `whisper_user_audio_seconds` names; 0 shows nobody's."""
    webhook_networks: str = ""
    """Networks that webhooks may go to besides the public internet, such as 10.1.0.0/16, 10.2.0.7/32."""
    webhook_slots: int = 16
    """Webhooks under way at once in one process; at most a quarter of them to one host, half of one user."""
    audio_retention_seconds: float = 7 * DAY_SECONDS
    """Audio is erased this long after its job ended; 0 erases it at once."""
    text_retention_seconds: float = 7 * DAY_SECONDS
    """Transcripts and job records are kept this long after the job was made."""
    janitor_seconds: float = 60.0
    """Pause between two rounds of the janitor, which erases what is due."""
    orphan_seconds: float = 60.0
    """A job that waits this long with no command stored is handed to the chunkers again."""
    heartbeat_seconds: float = 10.0
    """A silent event stream carries a comment line this often."""
    write_seconds: float = 30.0
    """A reader that takes no bytes of its event stream for this long is disconnected."""
