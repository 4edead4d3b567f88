#!/usr/bin/env python3
"""Turns Parquet files, as data sets on the hub have them, into JSON lines that vlqa eval reads.

    python3 from_parquet.py FILE.parquet... OUT

writes OUT/questions.jsonl and its images in OUT/images. Columns keep their names. An image is a column
of {bytes, path}, of bytes, or of lists of them; images that are named by a path alone stay so. Needs
pyarrow (pip install pyarrow).
"""
import ast
import json
import os
import sys

SIGNATURES = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpg", b"RIFF": "webp", b"GIF8": "gif", b"BM": "bmp"}


def ending(data):
    return next((end for start, end in SIGNATURES.items() if data.startswith(start)), None)


class Writer:
    def __init__(self, folder):
        self.folder = folder
        self.rows = self.images = 0
        self.left_out = set()

    def image(self, data):
        name = f"images/{self.images}.{ending(data)}"
        with open(os.path.join(self.folder, name), "wb") as file:
            file.write(data)
        self.images += 1
        return name

    def value(self, column, value):
        """What JSON takes: images as the names of their files, no other bytes."""
        if isinstance(value, (bytes, bytearray)):
            if ending(value):
                return self.image(bytes(value))
            self.left_out.add(column)
            return None
        if isinstance(value, dict) and {"bytes", "path"} >= set(value):
            data = value.get("bytes")
            return self.image(data) if data and ending(data) else value.get("path")
        if isinstance(value, dict):
            return {key: self.value(column, item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.value(column, item) for item in value]
        if isinstance(value, (str, int, float, bool)) or value is None:
            return value
        return str(value)  # dates, decimals

    def row(self, row):
        out = {}
        for column, value in row.items():
            if column in ("options", "choices") and isinstance(value, str):
                try:  # MMMU has lists as text
                    value = ast.literal_eval(value)
                except (SyntaxError, ValueError):
                    pass
            value = self.value(column, value)
            if value is not None and value != []:
                out[column] = value
        self.rows += 1
        return json.dumps(out, ensure_ascii=False)


def main(arguments):
    if len(arguments) < 2 or arguments[0].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        import pyarrow.parquet as parquet
    except ImportError:
        print("from_parquet.py: pyarrow is missing: pip install pyarrow", file=sys.stderr)
        return 1
    files, folder = arguments[:-1], arguments[-1]
    os.makedirs(os.path.join(folder, "images"), exist_ok=True)
    writer = Writer(folder)
    path = os.path.join(folder, "questions.jsonl")
    with open(path, "w", encoding="utf-8") as out:
        for name in files:
            for batch in parquet.ParquetFile(name).iter_batches(batch_size=64):
                for row in batch.to_pylist():
                    print(writer.row(row), file=out)
    for column in sorted(writer.left_out):
        print(f"from_parquet.py: {column} holds bytes that are no image; left out", file=sys.stderr)
    print(f"{path}: {writer.rows} rows, {writer.images} images")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
