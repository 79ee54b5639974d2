#!/usr/bin/env bash
# A SLURM of one node with two fake GPUs, for the tests: root, no systemd, no cgroups.
# Its processors and its memory are made up too, and nothing holds a job to what it asked for.
# start.sh [--dbd]; with --dbd jobs are accounted in slurmdbd and a MariaDB of its own.
# Everything but three links in /etc/slurm lies in /run/prefine-slurm; stop.sh takes it away.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=/run/prefine-slurm
host=$(hostname -s)

# What a start that was killed has left behind.
if [ "$(readlink /etc/slurm/slurm.conf)" = "$folder/slurm.conf" ]; then
  controller=$(cat "$folder/slurmctld.pid" 2> /dev/null || true)
  if [[ $(readlink "/proc/${controller:-none}/exe") = */slurmctld* ]]; then
    echo "these tests are running already, or stop.sh was not run" >&2
    exit 1
  fi
  "$here/stop.sh"
fi
for file in slurm.conf gres.conf slurmdbd.conf; do
  if [ -e "/etc/slurm/$file" ]; then
    echo "/etc/slurm/$file is there: this machine has a SLURM of its own" >&2
    exit 1
  fi
done
rm -rf "$folder"
mkdir -p "$folder"/{state,spool,log} /etc/slurm
chmod 755 "$folder"

# munge, with a key and a socket of its own.
install -d -o munge -g munge -m 755 "$folder/munge"
head -c 1024 /dev/urandom > "$folder/munge/key"
chown munge:munge "$folder/munge/key"
chmod 400 "$folder/munge/key"
runuser -u munge -- munged --socket="$folder/munge/socket" --key-file="$folder/munge/key" \
  --pid-file="$folder/munge/munged.pid" --seed-file="$folder/munge/seed" --log-file="$folder/munge/log"

# GPUs that nothing opens: SLURM counts them and hands them out.
for i in 0 1; do mknod "$folder/gpu$i" c 1 3; done
echo "NodeName=$host Name=gpu Type=fake File=$folder/gpu[0-1]" > "$folder/gres.conf"

cat > "$folder/slurm.conf" << CONF
ClusterName=prefine
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/log/slurmctld.log
SlurmdLogFile=$folder/log/slurmd.log
SlurmctldPort=16817
SlurmdPort=16818
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
MpiDefault=none
SwitchType=switch/none
ReturnToService=1
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
MinJobAge=3600
KillWait=5
GresTypes=gpu
NodeName=$host NodeAddr=127.0.0.1 CPUs=4 RealMemory=128000 Gres=gpu:fake:2 State=UNKNOWN
PartitionName=main Nodes=$host Default=YES MaxTime=3-0 State=UP
PartitionName=gpu Nodes=$host MaxTime=3-0 State=UP
CONF
if [ "${1:-}" = --dbd ]; then
  cat >> "$folder/slurm.conf" << CONF
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort=16819
AccountingStoragePass=$folder/munge/socket
AccountingStorageTRES=gres/gpu
AccountingStorageEnforce=associations
CONF
fi
# At the default path, for the plugin takes SLURM_CONF out of its jobs' environment.
ln -s "$folder/slurm.conf" /etc/slurm/slurm.conf
ln -s "$folder/gres.conf" /etc/slurm/gres.conf
unset SLURM_CONF
if [ "${1:-}" = --dbd ]; then bash "$here/database.sh"; fi

until_true() { # seconds command...
  local end=$((SECONDS + $1))
  shift
  until timeout 5 "$@" > /dev/null 2>&1; do
    if [ $SECONDS -ge $end ]; then
      echo "waited in vain for: $*" >&2
      tail -n 20 "$folder"/log/*.log >&2
      exit 1
    fi
    sleep 0.2
  done
}
slurmctld -c
until_true 30 sh -c 'scontrol ping | grep -q "is UP"'
slurmd -c
until_true 30 sh -c 'sinfo -h -o %T | grep -q idle'
sinfo -o "%P %D %T %c %m %G"
