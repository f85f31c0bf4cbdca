"""Files made by hand to use much, or to lead a decoder to other files and hosts."""

import struct
import subprocess
from pathlib import Path

from services.contracts.inference import SAMPLE_RATE

MB = 1_000_000


def small_bombs() -> dict[str, bytes]:
    """Small files that ask for much memory or time."""
    return {
        "1 Hz": wav(rate=1, channels=1, data=b"\x80" * 100_000),
        "50 million samples": m4a(samples=50_000_000, tracks=1),
        "5000 tracks": m4a(samples=10, tracks=5000),
        "1000 channels": wav(rate=48_000, channels=1000, data=bytes(2_000_000)),
        "claims 4 GB": wav(rate=SAMPLE_RATE, channels=1, data=bytes(100_000), claimed=0xFFFF_FFF0),
        "boxes in boxes": _nested_boxes(2000),
        "no frames at all": b"\xff\xfb\x90\x00" * 100_000,
    }


def large_bombs(folder: Path) -> dict[str, bytes]:
    """Those that take seconds to make: a picture of 200 MB, and silence that packs well."""
    long_frames = ("-c:a", "flac", "-compression_level", "0", "-frame_size", "16384")
    flac = _made(folder / "silence.flac", "anullsrc=r=8000:cl=mono:n=16384", "180000", *long_frames)
    sparse = ("-c:a", "libopus", "-dtx", "1", "-b:a", "6k", "-compression_level", "0")
    opus = _made(
        folder / "silence.opus", "anullsrc=r=48000:cl=mono", "7200", *sparse, "-frame_duration", "60"
    )
    mp3 = _made(folder / "tone.mp3", "sine=f=440:r=16000", "3", "-c:a", "libmp3lame")
    return {
        "50 h of silence in FLAC": flac,
        "2 h of silence in Opus": opus,
        "200 MB cover": _cover(200 * MB) + mp3,
    }


def _made(path: Path, source: str, seconds: str, *encoder: str) -> bytes:
    command = ["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", source, "-t", seconds, *encoder, str(path)]
    subprocess.run(command, check=True)
    return path.read_bytes()


def _cover(size: int) -> bytes:
    """An ID3 tag with a picture of `size` bytes."""
    picture = b"\0image/png\0\x03\0\x89PNG\r\n\x1a\n" + bytes(size)
    frame = b"APIC" + struct.pack(">I", len(picture)) + b"\0\0" + picture
    return b"ID3\x03\0\0" + bytes(len(frame) >> shift & 0x7F for shift in (21, 14, 7, 0)) + frame


def _nested_boxes(depth: int) -> bytes:
    data = b""
    for _ in range(depth):
        data = box(b"moov", data)
    return box(b"ftyp", b"M4A \0\0\0\0isom") + data


def wav(*, rate: int, channels: int, data: bytes, claimed: int | None = None) -> bytes:
    """8-bit PCM; `claimed` is the size that its head says."""
    fmt = struct.pack("<IHHIIHH", 16, 1, channels, rate, rate * channels, channels, 8)
    size = struct.pack("<I", len(data) if claimed is None else claimed)
    return b"RIFF\xff\xff\xff\xffWAVEfmt " + fmt + b"data" + size + data


def m4a(*, samples: int, tracks: int, reference: bytes = b"") -> bytes:
    """Tracks that each claim `samples` samples, with almost no sound; or with their sound at `reference`."""
    zero = bytes(4)
    location = box(b"url ", bytes(4), reference, b"\0") if reference else box(b"url ", b"\0\0\0\1")
    source = box(b"dref", zero, struct.pack(">I", 1), location)
    entry = box(b"alaw", bytes(6), b"\0\1", bytes(8), struct.pack(">HHHHI", 1, 16, 0, 0, SAMPLE_RATE << 16))
    table = box(
        b"stbl",
        box(b"stsd", zero, struct.pack(">I", 1), entry),
        box(b"stts", zero, struct.pack(">III", 1, samples, 1024)),
        box(b"stsc", zero, struct.pack(">IIII", 1, 1, samples, 1)),
        box(b"stsz", zero, struct.pack(">II", 1, samples)),
        box(b"stco", zero, struct.pack(">II", 1, 44)),
    )
    media = box(
        b"mdia",
        box(b"mdhd", zero, struct.pack(">IIIIHH", 0, 0, SAMPLE_RATE, 0xFFFF_FFFF, 0x55C4, 0)),
        box(b"hdlr", zero, b"\0\0\0\0soun", bytes(13)),
        box(b"minf", box(b"smhd", zero, bytes(4)), box(b"dinf", source), table),
    )
    heads = (
        box(b"tkhd", b"\0\0\0\3", struct.pack(">IIIII", 0, 0, n + 1, 0, 48_000), bytes(60))
        for n in range(tracks)
    )
    tracks_box = b"".join(box(b"trak", head, media) for head in heads)
    movie = box(b"mvhd", zero, struct.pack(">IIII", 0, 0, SAMPLE_RATE, 0xFFFF_FFFF), bytes(80))
    return box(b"ftyp", b"M4A \0\0\0\0isom") + box(b"moov", movie, tracks_box) + box(b"mdat", bytes(1000))


def box(kind: bytes, *content: bytes) -> bytes:
    """A box of MP4 (ISO 14496-12)."""
    body = b"".join(content)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def playlists(file: Path, url: str) -> dict[str, str]:
    """Texts that make a careless decoder read `file` or fetch `url` (http, with a port)."""
    dash = (
        '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        'mediaPresentationDuration="PT9S" profiles="urn:mpeg:dash:profile:isoff-on-demand:2011"><Period>'
        '<AdaptationSet mimeType="audio/mp4"><Representation id="1" bandwidth="1">'
        "<BaseURL>{}</BaseURL></Representation></AdaptationSet></Period></MPD>"
    )
    hls = "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{}\n#EXT-X-ENDLIST\n"
    port = url.split(":")[2].split("/")[0]
    return {
        "hls_file": hls.format(file),
        "hls_file_url": hls.format(f"file://{file}"),
        "hls_http": hls.format(url),
        "concat_file": f"ffconcat version 1.0\nfile {file.name}\n",
        "concat_http": f"ffconcat version 1.0\nfile {url}\n",
        "dash_file": dash.format(f"file://{file}"),
        "dash_http": dash.format(url),
        "sdp": f"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
        f"m=audio {port} RTP/AVP 0\r\n",
        "pls": f"[playlist]\nFile1={url}\nNumberOfEntries=1\n",
        "asx": f'<asx version="3.0"><entry><ref href="{url}"/></entry></asx>',
        "rtsp": f"rtsp://127.0.0.1:{port}/canary",
        "svg": f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:x="http://www.w3.org/1999/xlink">'
        f'<image x:href="{url}"/></svg>',
        "vobsub": f"# VobSub index file, v7\n# {file}\nid: en, index: 0\ntimestamp: 00:00:00:000, filepos: 0",
        "avs": f'AviSource("{file}")\n',
    }


def leading_elsewhere(file: Path, url: str) -> dict[str, bytes]:
    """Playlists, plain and behind what sound files begin with, and films whose sound is elsewhere."""
    found = {}
    for name, text in playlists(file, url).items():
        found[name] = text.encode()
        found[f"{name} after a tag"] = b"ID3\x03\0\0\0\0\0\0" + text.encode()
        found[f"{name} after a mark"] = b"\xef\xbb\xbf\r\n" + text.encode()
    for name, reference in {"m4a_file": f"file://{file}", "m4a_http": url}.items():
        found[name] = m4a(samples=10, tracks=1, reference=reference.encode())
    return found
