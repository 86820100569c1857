#!/usr/bin/env bash
# A quarter of an hour on a machine with a GPU, in one go: GPU tests, then timings, then a study, all ended at minute nine.
#
#   OUT=/tmp/out bash benchmarks/gpu_session.sh          in the root of a clone, in an environment with what the code needs
#
# OUT is the folder that comes home: a log of each part as it is written, and the study's tables, figures, report and logs.
# STUDY= (nothing) leaves the study out; STOP is the second at which all must have ended. What fails does not keep the rest
# from running: `status.txt` has a line for each part. The study's data must be there already, if there is no network.
set -u
: "${OUT:?set OUT to the folder for the results}"
STUDY=${STUDY-evidence-pathways}
STOP=${STOP:-540}
SHARE=${SHARE:-12}
mkdir -p "$OUT"
export PYTHONPATH="$PWD/src${PYTHONPATH:+:$PYTHONPATH}" OMP_NUM_THREADS=1 PYTHONUNBUFFERED=1
SECONDS=0

# part NAME LIMIT COMMAND…: run it for LIMIT seconds at most, and not beyond STOP.
part() {
    local name=$1 limit=$2 left=$((STOP - SECONDS)) began=$SECONDS
    shift 2
    if [ "$left" -lt 5 ]; then
        echo "$name: not run, no time was left" | tee -a "$OUT/status.txt"
        return
    fi
    [ "$limit" -lt "$left" ] || limit=$left
    timeout --signal=INT --kill-after=10 "$limit" "$@" >"$OUT/$name.log" 2>&1
    echo "$name: status $? after $((SECONDS - began)) s" | tee -a "$OUT/status.txt"
}

nvidia-smi >"$OUT/machine.txt" 2>&1 || echo "no GPU: $(hostname)" >>"$OUT/machine.txt"
part tests 100 python -m pytest -q -m gpu tests/gpu
part gpu 130 python benchmarks/gpu.py --seconds 4 --ways ours eager
part rtf 60 python benchmarks/rtf.py
part structured 40 python benchmarks/structured.py --device cuda --seconds 10 --steps 20
part compaction 30 python benchmarks/compaction.py
part compiled 60 python benchmarks/gpu.py --seconds 4 --jobs 1 8 --ways compiled
if [ -n "$STUDY" ]; then
    # A file of its own, laid over the study: jobs share the GPU.
    python - "$STUDY" "$SHARE" >"$OUT/study.yaml" <<'PYTHON'
import pathlib
import sys

print(f"gpu_share: {sys.argv[2]}\n" + pathlib.Path(f"workflow/studies/{sys.argv[1]}.yaml").read_text())
PYTHON
    part study "$STOP" python workflow/run.py --study "$OUT/study.yaml" -- --keep-going
    tar -czf "$OUT/study.tar.gz" --ignore-failed-read "results/$STUDY/tables" "results/$STUDY/figures" \
        "results/$STUDY/report" "results/$STUDY/so-far" "logs/$STUDY" 2>/dev/null
fi
cat "$OUT/status.txt"
