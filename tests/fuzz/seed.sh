#!/bin/sh
# seed.sh BUILD - fills BUILD/seeds/NAME with inputs for fuzz_NAME to begin with: files of the
# repository, which are what the readers are for, and pictures of kinds that it has no file of.
set -eu
cd "$(dirname "$0")/../.."
seeds=$1/seeds # BUILD is absolute or begins at the root
rm -rf "$seeds"
mkdir -p "$seeds/dataset" "$seeds/image" "$seeds/json" "$seeds/metric" "$seeds/run" \
    "$seeds/safetensors" "$seeds/template" "$seeds/tokenizer"

seed() { # NAME FILE...: a name with the folders in it, as the golden folders repeat names
    into=$seeds/$1
    shift
    for file; do
        cp "$file" "$into/$(echo "$file" | tr / _)"
    done
}

seed image tests/golden/images/*.png tests/charts/cows.png
seed json tests/golden/*/*.json tests/golden/cases.json assets/default-model/*_config.json
seed safetensors tests/golden/cases/*-bf16.safetensors
seed template tests/golden/templates/*.jinja
# the first byte of a data set says which: 0 vqa, 1 tsv, 2 jsonl, 3 longbench; here as digits
cat >"$seeds/dataset/vqa" <<'END'
0{"dataset_name": "docvqa", "data": [{"questionId": 1, "question": "q", "image": "a.png",
"answers": ["x"], "data_split": "val"}]}
END
printf '1index\timage\tquestion\tA\tB\tanswer\thint\n0\t%s\t"a ""q"""\tx\ty\tA\th\n1\t0\tq\t\t\t[1]\t\n' \
    "$(head -c 60 tests/charts/cows.png | base64 -w 0)" >"$seeds/dataset/tsv"
cat >"$seeds/dataset/jsonl" <<'END'
2{"question": "q", "image": ["a"], "texts": ["t"], "answers": ["x"], "id": 1, "metric": "anls"}
{"question": "q", "options": {"A": "x", "B": "y"}, "answer": "B", "split": "s", "hint": "h"}
END
cat >"$seeds/dataset/json" <<'END'
3[{"images": [{"bytes": "UE5H", "path": null}, "b"], "query": "<image><image>q", "label": [1e3, -0.5]},
{"image_1": "data:image/png;base64,UE5H", "id": "x", "choices": ["x", 2], "messages": [{"role": "user",
"content": [{"type": "image_url", "image_url": {"url": "a"}}, {"type": "text", "text": "q"}]},
{"role": "assistant", "content": "y"}]}, {"conversations": [{"from": "human", "value": "q"}], "imges": "a"}]
END
cat >"$seeds/dataset/longbench" <<'END'
4{"input": "q", "context": "c", "answers": ["x"], "dataset": "qasper", "_id": "i"}
END
cat >"$seeds/metric/answer" <<'END'
{"prediction": "The answer is **B**: 1,234.5 %", "answer": "['1e3', 7, \"it's\"]", "score": 1}
END
cat >"$seeds/metric/choice" <<'END'
{"prediction": "dark green", "answer": "B", "options": {"A": "Red", "B": "Dark Green"}}
END
for reader in 0 1 2 3 4 5 6 7; do # the first byte of a run file says by which it is read
    cat >"$seeds/run/$reader" <<END
$reader{"vlqa_run":1,"version":"0.1.0","model":"m","dataset":"d"}
{"id":"a","metric":"em","variant":"full","prediction":"x","score":1,"answers":["x"],"flops":5}
{"id":"a","metric":"em","variant":"none","chunk":"grid:2","prediction":"","score":0,"answers":["x",
"y"],"split":"s","prompt_tokens":{"total":9,"recomputed":2},"flops":3,"kl":0.5}
{"id":"a","metric":"em","method":"epic","chunk":"grid:2","ratio":0.1,"prediction":"x","score":1,
"answer":"['x']","category":"c","options":{"A":"x"},"rows":{"total":9,"recomputed":3},"flops":4,"kl":1e-3}
END
    tr -d '\n' <"$seeds/run/$reader" | sed 's/}{/}\n{/g' >"$seeds/run/$reader.lines"
    rm "$seeds/run/$reader"
done
seed tokenizer tests/golden/utf8.txt assets/default-model/chat_template.json README.md
"$1"/tests/seed_image "$seeds/image"
