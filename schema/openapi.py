#!/usr/bin/python3
"""openapi.yaml → openapi.json, one document without outside references.

A component that is only `$ref: <file>.schema.json` becomes that file's schema,
and the file's $defs become components of their own; two files may define the
same name only if they mean the same.

    schema/openapi.py schema/openapi.yaml > openapi.json
"""

import json
import os
import sys

import yaml


def moved(node):
    """References to a file's own $defs, as references to components."""
    if isinstance(node, dict):
        return {k: v.replace("#/$defs/", "#/components/schemas/") if k == "$ref" else moved(v)
                for k, v in node.items()}
    if isinstance(node, list):
        return [moved(v) for v in node]
    return node


def add(schemas, name, schema, origin):
    if schemas.setdefault(name, schema) != schema:
        sys.exit(f"{origin}: {name} is defined elsewhere and differs")


def bundle(path):
    with open(path, encoding="utf-8") as f:
        document = yaml.safe_load(f)
    schemas = document["components"]["schemas"]
    files = {k: v["$ref"] for k, v in schemas.items() if v.get("$ref", "").endswith(".schema.json")}
    for name in files:
        del schemas[name]
    for name, file in files.items():
        with open(os.path.join(os.path.dirname(path), file), encoding="utf-8") as f:
            schema = json.load(f)
        del schema["$schema"]
        for inner, definition in schema.pop("$defs").items():
            add(schemas, inner, moved(definition), file)
        add(schemas, name, moved(schema), file)
    return document


if __name__ == "__main__":
    json.dump(bundle(sys.argv[1]), sys.stdout, ensure_ascii=False, separators=(",", ":"))
