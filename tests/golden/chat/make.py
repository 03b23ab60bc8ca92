#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make.py [TEMPLATES] - what jinja2, configured as transformers does, makes of our conversations: expected.jsonl.

Templates: those beside this file, and the *.jinja of the folder TEMPLATES, which are not ours to ship: the test finds them there too.
A rendering of a foreign template without a system message holds mostly that template's own words: only its length and CRC32C are kept.
Needs jinja2; `python3 make.py ../shared/data/chat-templates`, in the root of the tree tests/golden/chat/make.py.
"""
import datetime
import json
import pathlib
import sys

import jinja2
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

HERE = pathlib.Path(__file__).parent
DATE = datetime.datetime(2025, 1, 2)


class Generation(Extension):
    """{% generation %}: renders its body."""
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller):
        return caller()


def environment():
    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = lambda form: DATE.strftime(form)
    return env


def crc32c(data):
    table = []
    for i in range(256):
        for _ in range(8):
            i = i >> 1 ^ (0x82F63B78 if i & 1 else 0)
        table.append(i)
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


def render(template, chat):
    variables = {"tools": None, "documents": None, "add_generation_prompt": False, "bos_token": "<s>", "eos_token": "</s>"}
    variables.update(chat)
    return template.render(**variables)


def main():
    env = environment()
    chats = [json.loads(line) for line in (HERE / "conversations.jsonl").read_text().splitlines()]
    own = sorted(HERE.glob("*.jinja"))
    foreign = sorted(pathlib.Path(sys.argv[1]).glob("*.jinja")) if len(sys.argv) > 1 else []
    with open(HERE / "expected.jsonl", "w") as out:
        for path in own + foreign:
            template = env.from_string(path.read_bytes().decode())
            for i, chat in enumerate(chats):
                row = {"template": path.name, "own": path in own, "chat": i}
                try:
                    text = render(template, chat)
                    if path in own or (chat["messages"][0]["role"] == "system" and len(text) < 4000):
                        row["text"] = text
                    else:
                        row["bytes"] = len(text.encode())
                        row["crc32c"] = crc32c(text.encode())
                except (jinja2.exceptions.TemplateError, TypeError) as refused:
                    row["refused"] = str(refused)
                out.write(json.dumps(row, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
