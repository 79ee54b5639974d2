#!/usr/bin/env bash
# Ends what start.sh started, by process id, and takes its files away.
set -uo pipefail
folder=/run/prefine-slurm
[ -d "$folder" ] || exit 0

ours() { [ "$(readlink "/etc/slurm/$1")" = "$folder/$1" ]; }

# Jobs first: they are processes of their own.
if ours slurm.conf && [ -s "$folder/slurmctld.pid" ]; then
  timeout 10 scancel --user=root
  for _ in $(seq 50); do
    [ -n "$(timeout 10 squeue -h -t RUNNING,COMPLETING)" ] || break
    sleep 0.2
  done
fi
for file in "$folder"/{slurmd,slurmctld,slurmdbd,mariadbd,munge/munged}.pid; do
  [ -s "$file" ] || continue
  pid=$(cat "$file")
  kill "$pid"
  for _ in $(seq 150); do
    kill -0 "$pid" 2> /dev/null || break
    sleep 0.1
  done
done
for file in slurm.conf gres.conf slurmdbd.conf; do
  # Else every start of Snakemake looks for this SLURM, for seconds.
  if ours "$file"; then rm "/etc/slurm/$file"; fi
done
rm -rf "$folder"
