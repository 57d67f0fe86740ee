#!/usr/bin/env bash
# Records the demo's completions anew: both methods, by the default model in process, with the real
# services of examples/upstream answering. Run it from the repository's root, with the extras local
# and upstream; it takes about half an hour on two cores.
set -euo pipefail

world=cassettes/demo port=8900 out=runs/recording
python -m examples.upstream serve --port $port &
trap 'kill %1' EXIT
sleep 10

toolreplay model pull
rm -rf $out $world/completions
for method in react dfsdt; do
  RAPIDAPI_KEY=demo-key toolreplay solve $world/instructions --world $world --out $out/$method \
      --model llama:gemma-3-270m-q4_k_m --method $method --max-calls 10 --max-tokens 80 \
      --mode live --via http://127.0.0.1:$port --workers "$(nproc)"
done

# What the model called beyond the documented calls is listed, so that the world can be recorded
# again from the lists alone.
python - $world <<'PYTHON'
import json
import sys
from pathlib import Path

from sandbox.call import call_line, read_calls
from sandbox.cassette import cassettes, read_cassette
from sandbox.world import World

world, upstream = World(sys.argv[1]), Path("examples/upstream")
documented = upstream / "calls.jsonl"
known = {world.key(call) for call in read_calls(documented.read_text(), str(documented))}
recorded = [r for failed in (False, True) for path in cassettes(world.path, failed)
            for r in read_cassette(path)]
asked = {json.dumps(call_line(recording.call), ensure_ascii=False, sort_keys=True)
         for recording in recorded if world.key(recording.call) not in known}
(upstream / "asked.jsonl").write_text("".join(line + "\n" for line in sorted(asked)))
PYTHON

toolreplay demo --out $out/demo --workers "$(nproc)"
toolreplay world verify $world
