#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make_images.py: the pictures of this folder, written with Pillow 13.0.0 (inter.png, palinter.png, bomb.png, short.png and
palshort.png by hand), and on
standard output what Pillow makes of each (upright, transparency on white, as transformers 5 converts it): name, size, XXH64."""
import struct, zlib
import numpy as np, xxhash
import PIL.Image as I, PIL.ImageOps as O

y, x = np.mgrid[0:24, 0:37]
rgb = np.stack([(x * 6) % 256, (y * 9) % 256, ((x + y) * 4) % 256], -1).astype(np.uint8)
alpha = ((x * 7 + y * 5) % 256).astype(np.uint8)
grey = rgb[..., 0]
pic = I.fromarray(rgb)


def turned(o):
    e = I.Exif()
    e[0x112] = o
    return e


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(w, h, interlaced, data, palette=b""):
    depth, kind = (4, 3) if palette else (8, 2)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, depth, kind, 0, 0, interlaced))
            + (chunk(b"PLTE", palette) if palette else b"") + chunk(b"IDAT", zlib.compress(data, 9)) + chunk(b"IEND", b""))


def nibbles(row):
    v = [int(i) for i in row] + [0]
    return b"\0" + bytes(v[i] << 4 | v[i + 1] for i in range(0, len(v) - 1, 2))


pic.save("rgb.jpg", quality=85)
pic.save("prog.jpg", quality=70, progressive=True)
I.fromarray(grey).save("grey.jpg")
pic.convert("CMYK").save("cmyk.jpg")
for o in range(2, 9):
    pic.save(f"turn{o}.jpg", exif=turned(o), quality=90)
pic.save("rgb.png")
pic.save("turn6.png", exif=turned(6))
pic.save("turn6.webp", exif=turned(6), lossless=True)
I.fromarray(grey).save("grey.png")
I.fromarray(grey).convert("1").save("bit.png")
pal = pic.convert("P", palette=I.ADAPTIVE, colors=13)
pal.save("pal.png")
pal.save("paltr.png", transparency=2)
I.fromarray(np.dstack([rgb, alpha])).save("rgba.png")
I.merge("LA", [I.fromarray(grey), I.fromarray(alpha)]).save("la.png")
I.fromarray((grey.astype(np.uint16) * 257 + x.astype(np.uint16) * 3).astype(np.uint16)).save("grey16.png")
pic.save("lossy.webp", quality=80)
I.fromarray(np.dstack([rgb, alpha])).save("alpha.webp", lossless=True)
passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
open("inter.png", "wb").write(png(37, 24, 1, b"".join(
    b"\0" + rgb[j, a::s].tobytes() for a, b, s, t in passes for j in range(b, 24, t))))
index, colours = np.asarray(pal), bytes(pal.getpalette()[:39])
open("palinter.png", "wb").write(png(37, 24, 1, b"".join(
    nibbles(index[j, a::s]) for a, b, s, t in passes for j in range(b, 24, t)), colours))
# what is refused
open("palshort.png", "wb").write(png(37, 24, 0, b"".join(nibbles(row) for row in index), colours[:-3]))
I.fromarray(np.full((8, 65500), 90, np.uint8)).save("wide.jpg", quality=30)
open("bomb.png", "wb").write(png(60000, 60000, 0, bytes(1 << 20)))
open("short.png", "wb").write(png(64, 64, 0, bytes(1000)))
pic.save("anim.webp", save_all=True, append_images=[O.flip(pic)], duration=50, lossless=True)
for n in ("rgb.jpg prog.jpg grey.jpg cmyk.jpg turn2.jpg turn3.jpg turn4.jpg turn5.jpg turn6.jpg turn7.jpg turn8.jpg rgb.png turn6.png "
          "turn6.webp grey.png bit.png pal.png paltr.png rgba.png la.png lossy.webp alpha.webp inter.png palinter.png").split():
    p = O.exif_transpose(I.open(n))
    if "A" in p.getbands() or p.info.get("transparency") is not None:
        p = I.alpha_composite(I.new("RGBA", p.size, (255, 255, 255, 255)), p.convert("RGBA"))
    p = p.convert("RGB")
    print(f'{{"{n}", {p.width}, {p.height}, 0x{xxhash.xxh64(p.tobytes()).hexdigest()}}},')
