"""Settings of the auth service: its two secrets, how long things live, and how hard it works."""

from services.common.settings import ServiceSettings


class Settings(ServiceSettings, frozen=True, kw_only=True):
    """Where the accounts are and how long a login lasts."""

    secret_name: str = "whisper-app-credentials"  # noqa: S105  # a name, not a secret
    """Secret in AWS Secrets Manager that holds the accounts."""
    signing_secret_name: str = "whisper-app-signing-key"  # noqa: S105  # a name, not a secret
    """Secret that holds the signing keys; auth creates it on its first start."""
    aws_region: str = "cn-northwest-1"
    """AWS region of both secrets."""
    secret_cache_seconds: float = 300.0
    """How long accounts and keys are used before they are read again."""
    secret_refresh_seconds: float = 5.0
    """Least time between two reads that an unknown user, a wrong password or an unknown key causes."""
    secret_outage_seconds: float = 3600.0
    """How long accounts read earlier still log in while Secrets Manager is down."""
    access_token_seconds: int = 900
    """Life of an access token."""
    refresh_token_seconds: int = 7 * 86_400
    """Life of a session: of its refresh token and its cookie; at most 31 days."""
    hash_threads: int = 2
    """Passwords checked at the same time, each a CPU core for 35 ms and 19 MiB."""
    hash_queue: int = 64
    """Passwords that may wait to be checked; further logins are told to try again."""
    purge_seconds: float = 3600.0
    """Time between two sweeps that forget what has expired: revocations, and personal access tokens."""
    user_tokens: int = 50
    """Personal access tokens that a user may have at once; 0 allows none."""
    token_max_days: int = 366
    """Longest life of a personal access token, in days."""
