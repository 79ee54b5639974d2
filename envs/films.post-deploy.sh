#!/usr/bin/env bash
# Written by envs/write_environments.py from envs/lock-no-deps.txt; do not edit.
set -eu
python -m pip install --no-deps bullet-safety-gym==1.4.0 dsrl==0.1.0 safety-gymnasium==0.4.1
