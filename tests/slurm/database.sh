#!/usr/bin/env bash
# slurmdbd and a MariaDB of its own, for start.sh --dbd. One account, `lab`, that root belongs to.
set -euo pipefail
folder=/run/prefine-slurm
host=$(hostname -s)

install -d -o mysql -g mysql -m 700 "$folder/mysql"
mariadb-install-db --user=mysql --datadir="$folder/mysql" \
  --auth-root-authentication-method=normal --skip-test-db > "$folder/log/mariadb-install.log" 2>&1
setsid mariadbd --no-defaults --user=mysql --datadir="$folder/mysql" \
  --socket="$folder/mysql/socket" --port=16833 --bind-address=127.0.0.1 \
  --innodb-buffer-pool-size=64M --innodb-lock-wait-timeout=900 \
  > "$folder/log/mariadbd.log" 2>&1 < /dev/null &
echo $! > "$folder/mariadbd.pid"
sql() { mariadb -uroot -S "$folder/mysql/socket" -e "$1"; }
for _ in $(seq 150); do
  if sql "select 1" > /dev/null 2>&1; then break; fi
  sleep 0.2
done
sql "create database slurm_acct_db"
for from in 127.0.0.1 localhost; do
  sql "create user slurm@'$from' identified by 'x'; grant all on slurm_acct_db.* to slurm@'$from'"
done

cat > "$folder/slurmdbd.conf" << CONF
DbdHost=$host
DbdAddr=127.0.0.1
DbdPort=16819
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket
PidFile=$folder/slurmdbd.pid
LogFile=$folder/log/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=16833
StorageUser=slurm
StoragePass=x
StorageLoc=slurm_acct_db
CONF
chmod 600 "$folder/slurmdbd.conf"
ln -s "$folder/slurmdbd.conf" /etc/slurm/slurmdbd.conf
slurmdbd
for _ in $(seq 10); do
  if timeout 3 sacctmgr -n list cluster > /dev/null 2>&1; then break; fi
  sleep 0.5
done
sacctmgr -i add cluster prefine > /dev/null
sacctmgr -i add account lab cluster=prefine > /dev/null
sacctmgr -i add user root account=lab cluster=prefine > /dev/null
