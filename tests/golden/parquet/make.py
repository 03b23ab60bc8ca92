# SPDX-License-Identifier: Apache-2.0
"""Makes the goldens of Parquet with pyarrow: NAME.parquet, and NAME.jsonl with the same rows. What
other writers would write differently (encodings, codecs, versions of pages, groups of rows, small
pages, checksums) is asked for file by file."""
import json, os, random, sys
import pyarrow as pa
import pyarrow.parquet as pq

here = os.path.dirname(os.path.abspath(sys.argv[0]))
random.seed(7)
words = "the of and quant zero point scale größe 模型 \U0001F600 a\"b c\\d tab\there nul\0here \\ud800".split(" ")


def text(most=12):
    return " ".join(random.choice(words) for _ in range(random.randint(0, most)))


def maybe(f, share=0.2):
    return None if random.random() < share else f()


def write(name, rows, schema, lines=True, **how):
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), f"{here}/{name}.parquet",
                   **({"store_schema": False} | how))
    if lines:
        with open(f"{here}/{name}.jsonl", "w") as f:
            for row in pq.read_table(f"{here}/{name}.parquet").to_pylist(maps_as_pydicts="strict"):
                f.write(json.dumps(row, ensure_ascii=False) + "\n")


S = pa.string()
texts = pa.schema([("id", pa.int64()), ("text", S), ("url", S)])
rows = [{"id": i, "text": maybe(text), "url": f"http://x/{i}"} for i in range(60)]
# dictionaries, groups of rows, many pages
write("dictionary", rows, texts, compression="snappy", row_group_size=25, data_page_size=64, write_batch_size=4)
# dictionaries that are given up
write("fallback", rows, texts, compression="zstd", dictionary_pagesize_limit=64, data_page_size=64, write_batch_size=4)
write("plain", rows, texts, compression="none", use_dictionary=False, write_page_checksum=True)
for name, encoding in ("delta_length", "DELTA_LENGTH_BYTE_ARRAY"), ("delta_bytes", "DELTA_BYTE_ARRAY"):
    write(name, rows, texts, compression="gzip", use_dictionary=False, column_encoding={"text": encoding},
          data_page_version="2.0", data_page_size=512, write_batch_size=8)

message = pa.struct([pa.field("role", S, False), ("content", S), ("calls", pa.list_(pa.struct([("name", S), ("n", pa.int32())])))])
chats = pa.schema([("messages", pa.list_(message)), ("tools", S)])
rows = [{"messages": maybe(lambda: [maybe(lambda: {"role": "user", "content": maybe(text),
                                                   "calls": maybe(lambda: [maybe(lambda: {"name": text(1), "n": maybe(lambda: 3)})
                                                                           for _ in range(random.randint(0, 2))])}, 0.1)
                                    for _ in range(random.randint(0, 4))]),
         "tools": maybe(text)} for _ in range(50)]
write("chats", rows, chats, compression="snappy", data_page_size=64, write_batch_size=3)
write("chats2", rows, chats, compression="zstd", data_page_size=64, write_batch_size=3, data_page_version="2.0", row_group_size=20,
      use_compliant_nested_type=False)

ids = pa.schema([("input_ids", pa.list_(pa.int32())), ("attention_mask", pa.list_(pa.uint8())), pa.field("labels", pa.list_(pa.int64()), False)])
rows = []
for _ in range(30):
    n = random.randint(0, 40)
    rows.append({"input_ids": [random.randint(0, 151000) for _ in range(n)], "attention_mask": [1] * n,
                 "labels": [random.choice([-100, random.randint(0, 1 << 40)]) for _ in range(n)]})
write("ids", rows, ids, compression="snappy")
write("ids_delta", rows, ids, compression="none", use_dictionary=False, data_page_version="2.0",
      column_encoding={"input_ids.list.element": "DELTA_BINARY_PACKED", "labels.list.element": "DELTA_BINARY_PACKED"})

odd = pa.schema([pa.field("input", pa.bool_(), False), ("output", pa.float64()), ("prompt", pa.float32()), ("system", pa.uint64()),
                 ("images", pa.map_(S, pa.int16())), ("documents", pa.list_(pa.list_(S))), ("completion", pa.uint32())])
rows = [{"input": i % 3 == 0, "output": maybe(lambda: random.random()), "prompt": maybe(lambda: 0.5 * i), "system": (1 << 63) - 1 - i,
         "images": maybe(lambda: [(f"k{j}", maybe(lambda: j)) for j in range(i % 3)]),
         "documents": maybe(lambda: [maybe(lambda: [maybe(text) for _ in range(random.randint(0, 2))]) for _ in range(random.randint(0, 2))]),
         "completion": (1 << 32) - 1 - i} for i in range(40)]
write("odd", rows, odd, compression="snappy", data_page_version="2.0")
write("odd1", rows, odd, compression="none", use_dictionary=False)

few = [{"text": "a"}, {"text": "b"}]
one = pa.schema([("text", S)])
write("brotli", few, one, False, compression="brotli")
write("lz4", few, one, False, compression="lz4")
write("split", [{"prompt": 1.5}, {"prompt": 2.5}], pa.schema([("prompt", pa.float32())]), False, use_dictionary=False,
      column_encoding={"prompt": "BYTE_STREAM_SPLIT"})
write("decimal", [], pa.schema([("text", pa.decimal128(5, 2))]), False)
write("picture", [{"text": "a", "image": {"bytes": b"\x89PNG", "path": None}}],
      pa.schema([("text", S), ("image", pa.struct([("bytes", pa.binary()), ("path", S)]))]), False)
write("other", [{"story": "x", "n": 1}], pa.schema([("story", S), ("n", pa.int8())]), False)
write("empty", [], one, False)
