#!/bin/sh
# seed.sh BUILD - fills BUILD/seeds/NAME with inputs for fuzz_NAME to begin with: files of the
# repository, which are what the readers are for, and pictures of kinds that it has no file of.
set -eu
cd "$(dirname "$0")/../.."
seeds=$1/seeds # BUILD is absolute or begins at the root
rm -rf "$seeds"
mkdir -p "$seeds/image" "$seeds/json" "$seeds/metric" "$seeds/safetensors" "$seeds/tokenizer"

seed() { # NAME FILE...: a name with the folders in it, as the golden folders repeat names
    into=$seeds/$1
    shift
    for file; do
        cp "$file" "$into/$(echo "$file" | tr / _)"
    done
}

seed image tests/golden/images/*.png assets/samples/02.png
seed json tests/golden/*/*.json tests/golden/cases.json assets/default-model/*_config.json
seed safetensors tests/golden/cases/*-bf16.safetensors
cat >"$seeds/metric/answer" <<'END'
{"prediction": "The answer is **B**: 1,234.5 %", "answer": "['1e3', 7, \"it's\"]", "score": 1}
END
cat >"$seeds/metric/choice" <<'END'
{"prediction": "dark green", "answer": "B", "options": {"A": "Red", "B": "Dark Green"}}
END
seed tokenizer tests/golden/utf8.txt assets/default-model/chat_template.json README.md
"$1"/tests/seed_image "$seeds/image"
