#!/usr/bin/env bash
# Ends what start.sh started, by process id, and takes its files away.
set -uo pipefail
folder=/run/prefine-slurm

ours() { [ "$(readlink "/etc/slurm/$1")" = "$folder/$1" ]; }

# The process of a file, by its program (Debian adds -wlm) too: ids are used again.
running() {
  pid=$(cat "$1" 2> /dev/null) && [[ $(readlink "/proc/$pid/exe") = */"$(basename "$1" .pid)"* ]]
}

# Jobs first: they are processes of their own.
if ours slurm.conf && running "$folder/slurmctld.pid"; then
  timeout 10 scancel --user=root
  for _ in $(seq 50); do
    [ -n "$(timeout 10 squeue -h -t RUNNING,COMPLETING)" ] || break
    sleep 0.2
  done
fi
for file in "$folder"/{slurmd,slurmctld,slurmdbd,mariadbd,munge/munged}.pid; do
  running "$file" || continue
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
