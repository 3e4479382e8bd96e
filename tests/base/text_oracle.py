"""Unicode as another implementation sees it, for test_text.c.

Prints one line a text: input, NFC form, folded form, all in hex of UTF-8 ("-": empty).
Every code point assigned in this Python's Unicode version stands alone once; then come
sequences of letters and marks, from a fixed seed.
"""
import random
import sys
import unicodedata

BLANKS = " \t\r\n\u00a0\ufeff"


def fold_char(c):
    """Simple case folding: CaseFolding.txt statuses C and S."""
    full = c.casefold()
    if len(full) == 1:
        return full
    lower = c.lower()
    return lower if len(lower) == 1 else c


def squeeze(text):
    for b in BLANKS:
        text = text.replace(b, " ")
    return " ".join(w for w in text.split(" ") if w)


def fold(text):
    nfc = unicodedata.normalize("NFC", text)
    return unicodedata.normalize("NFC", "".join(fold_char(c) for c in squeeze(nfc)))


def hexed(text):
    return text.encode().hex() or "-"


def show(text):
    nfc = unicodedata.normalize("NFC", text)
    sys.stdout.write(f"{hexed(text)} {hexed(nfc)} {hexed(fold(text))} {hexed(squeeze(text))}\n")


def main():
    assigned = [
        chr(c)
        for c in range(1, 0x110000)
        if not 0xD800 <= c < 0xE000 and unicodedata.category(chr(c)) != "Cn"
    ]
    for c in assigned:
        # private use planes: a few speak for all
        if ord(c) < 0xF0000 or ord(c) % 4096 < 2:
            show(c)
    rng = random.Random(20260801)
    marks = [c for c in assigned if unicodedata.combining(c)]
    vietnamese = "aăâeêioôơuưyđAĂÂEÊIOÔƠUƯYĐ"
    tones = "\u0300\u0301\u0303\u0309\u0323\u0302\u0306\u031b"
    hangul = "".join(chr(c) for c in (0x1100, 0x1112, 0x1161, 0x1175, 0x11A7, 0x11A8, 0x11C2, 0xAC00))
    for _ in range(20000):
        show("".join(rng.choice(rng.choice((vietnamese, tones))) for _ in range(rng.randint(1, 8))))
        show("".join(rng.choice(rng.choice((assigned, marks, hangul))) for _ in range(rng.randint(1, 8))))
        show("".join(rng.choice(rng.choice((vietnamese, BLANKS))) for _ in range(rng.randint(1, 8))))


main()
