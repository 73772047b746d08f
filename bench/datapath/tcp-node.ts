// Runs inside a node of the bench: redirects all TCP to port 80 of one pod to a proxy port, with map content written
// by hand. Arguments: `install INSTANCE SERVER_IP SERVER_LINK CLIENT_IP CLIENT_LINK PROXY_PORT
// plain|accelerated`, `messages INSTANCE`, which prints how many went around TCP, or `remove INSTANCE`.
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { promisify } from 'node:util';
import {
  anyIdentity,
  generation,
  identityNumber,
  ifindex,
  ipAddress,
  ipPrefix,
  lengthsOf,
  noSet,
  openDatapath,
  openGeneration,
  proxyPort,
  setNumber,
  subjectNumber,
  tableNumber,
} from '@weir/bpf';
import { installRouting, instanceOf, removeRouting } from '@weir/redirect';

const execute = promisify(execFile);
const ip = async (...words: readonly string[]): Promise<string> => (await execute('ip', [...words])).stdout;

const [task, name = '', ...rest] = process.argv.slice(2);
const instance = instanceOf(name);
const datapath = openDatapath({
  instance: name,
  marks: instance.marks,
  bpffs: '/sys/fs/bpf',
  reportAllowed: false,
  accelerate: rest[5] === 'accelerated' || task === 'messages' ? 'on' : 'off',
});
if (task === 'remove') {
  datapath.remove();
  await removeRouting(instance, ip);
} else if (task === 'messages') {
  console.log(String(datapath.accelerationCounters().accelerated));
  datapath.close();
} else {
  if (rest[5] === 'accelerated' && datapath.acceleration.kind === 'off')
    throw new Error(datapath.acceleration.reason);
  await install(rest);
  datapath.close();
}

async function install([
  serverIp = '',
  serverLink = '',
  clientIp = '',
  clientLink = '',
  port = '',
]: readonly string[]): Promise<void> {
  await installRouting(instance, ip);
  // As the agent leaves a node (network/early-demux.ts and accept-local.ts there).
  writeFileSync('/proc/sys/net/ipv4/tcp_early_demux', '0');
  for (const link of [serverLink, clientLink])
    writeFileSync(`/proc/sys/net/ipv4/conf/${link}/accept_local`, '1');
  const { maps } = datapath;
  const web = { table: tableNumber(1), protocol: 6, port: 80, portPrefixLength: 16 };
  maps.policyTables.set(web, { kind: 'l7', set: setNumber(1) });
  const [enforced, table] = [generation(2), { table: web.table, lengths: lengthsOf([web]) }];
  maps.policyPeers.set({ generation: enforced, identity: anyIdentity }, table);
  maps.pairs.set({ egressSet: noSet, ingressSet: setNumber(1) }, { proxyPort: proxyPort(Number(port)) });
  const pods = [
    { address: serverIp, link: serverLink, number: 1, ingress: enforced },
    { address: clientIp, link: clientLink, number: 2, ingress: openGeneration },
  ];
  for (const { address, link, number, ingress } of pods) {
    const [{ ifindex: index }] = JSON.parse(await ip('-j', 'link', 'show', 'dev', link));
    const endpoint = { identity: identityNumber(1000 + number), subject: subjectNumber(number) };
    maps.subjects.set(endpoint.subject, { ingress, egress: openGeneration });
    maps.ipcache.set(ipPrefix(address), endpoint.identity);
    maps.localAddresses.set(ipAddress(address), { ...endpoint, ifindex: ifindex(index) });
    maps.endpoints.set(ifindex(index), endpoint);
    datapath.attach(ifindex(index));
  }
}
