"""`python -m bench.load`: many readers, a long history, and a day of audio, one after the other."""

from bench.load import history, readers, soak

if __name__ == "__main__":
    for part in (history, readers, soak):
        part.main()
