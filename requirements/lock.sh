#!/usr/bin/env bash
# Writes lock.txt anew from the *.in files, for Linux and Python 3.10 to 3.13. Needs uv (pip install uv).
set -eu
cd "$(dirname "$0")"
uv pip compile --quiet --universal --python-version 3.10 --no-header --no-annotate \
    --constraint torch.txt --exclude-newer "${LOCK_DATE:-$(date -u +%F)}" \
    -o all.tmp runtime.in test.in ros.in
{
    echo "# Every package that usnav installs beside torch, written by lock.sh. Change the *.in files, not this one."
    # torch is installed before this list, in the build (CPU or CUDA) that the user wants; these come with its CUDA build.
    grep -vE '^(torch|triton|cuda-[a-z]+|nvidia-[a-z0-9-]+)==' all.tmp
} > lock.txt
rm all.tmp
