"""`python -m client recording.mp3`: the command, where it is not installed as `whisper-webui`."""

import sys

from client.command.main import started

if __name__ == "__main__":
    sys.exit(started())
